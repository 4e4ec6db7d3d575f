package inside

// Volumes are the volumes of a container on the laptop.
type Volumes struct {
	// Dir has them: what the container has at /data is at DIR/data.
	Dir string `json:"dir"`
	// Paths are the places where the container has them.
	Paths []string `json:"paths"`
}
