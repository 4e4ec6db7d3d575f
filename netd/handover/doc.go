// Package handover is what a session and intercept-netd say to each other: the
// network that a session wants, and the TUN device that it gets.
//
// They speak over a unix socket. Each message is four bytes of length, big
// endian, and that much JSON; first both say which Protocol they speak, then
// the session asks and netd answers. The descriptor of the TUN comes along with
// the first byte of its answer (SCM_RIGHTS, unix(7)). Where that cannot be, the
// answer names the network (Network.Packets), and a second connection to the
// same socket, which says that name in its first message, carries Packets. What
// netd did ends with the first connection.
package handover

// Protocol is the version of these messages. Both sides must speak the same.
const Protocol = 1

// MaxMessage is the most bytes that a message may have.
const MaxMessage = 1 << 20

// hello is the first message in each direction.
type hello struct {
	Protocol int    `json:"protocol"`
	Release  string `json:"release,omitempty"` // netd's
	Packets  string `json:"packets,omitempty"` // the client's: of which network
}

// What a session asks for.
const (
	OpOpen   = "open"   // Config: open the TUN
	OpUpdate = "update" // Config: make it so
	OpClose  = "close"  // undo everything; the connection stays
	OpDial   = "dial"   // Port: a socket from within a program's own network
	OpListen = "listen" // Port: a socket that listens there
)

// Request is what a session asks.
type Request struct {
	ID     uint64  `json:"id"`
	Op     string  `json:"op"`
	Config *Config `json:"config,omitempty"`
	Dial   *Port   `json:"dial,omitempty"`
}

// reply is what netd answers.
type reply struct {
	ID      uint64     `json:"id"`
	Network *Network   `json:"network,omitempty"`
	Error   string     `json:"error,omitempty"`
	Refused []Conflict `json:"refused,omitempty"`
	// Taken says that Error is ErrTaken.
	Taken bool `json:"taken,omitempty"`
}
