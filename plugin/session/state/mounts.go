package state

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// How is in which way volumes of a container come to this machine.
type How string

// The ways.
const (
	// Mounted: they are mounted, or copied where this machine cannot mount them.
	Mounted How = ""
	// Copied: they are copied.
	Copied How = "copy"
	// None: they stay in the pod.
	None How = "none"
	// Same: what is here stays.
	Same How = "same"
)

// Wish is how a user wants the volumes of a container on this machine.
type Wish struct {
	How How `json:"how,omitempty"`
	// Dir is the user's folder for them, an absolute path; empty: one of our own.
	Dir      string `json:"dir,omitempty"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// Limit is how many bytes are copied at most; 0 is the usual limit.
	Limit int64 `json:"limit,omitempty"`
}

// Mount is where this machine has the volumes of a container.
type Mount struct {
	Wish Wish `json:"wish"`
	// Dir is the folder with the volumes.
	Dir string `json:"dir"`
	// Paths are the places in the container of which they are. Only a copy has them here.
	Paths []string `json:"paths,omitempty"`
	// Copied says that they are copied.
	Copied bool `json:"copied,omitempty"`
}

// Own says that the folder is one of our own, not the user's.
func (m *Mount) Own() bool { return m.Wish.Dir == "" }

// Records returns the folder with the records of mounts.
func (d *Dir) Records() string { return d.file("mounts") }

// NewMount returns the path of a new folder for volumes, which does not exist. Nobody else
// can make it, since the folder above is the user's alone.
func (d *Dir) NewMount(name string) (string, error) {
	parent, err := temporary()
	if err != nil {
		return "", fmt.Errorf("make a folder for the volumes: %w", err)
	}
	return filepath.Join(parent, name+"-"+strings.ToLower(rand.Text()[:6])), nil
}

// temporary returns a folder with a short path that only the user can enter.
func temporary() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("kubectl-intercept-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return "", err
	}
	return dir, private(dir)
}
