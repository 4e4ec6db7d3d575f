package inside

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/netd/route"
)

// message is one message between the command `run` and the supervisor.
type message struct {
	// The supervisor sends Ready when the namespaces are set up, and Started when the
	// program has begun. It sends Lost when the connection of the session that owns
	// the network has ended, and Error with the reason why there is no program.
	Ready   bool   `json:"ready,omitempty"`
	Lost    bool   `json:"lost,omitempty"`
	Started bool   `json:"started,omitempty"`
	Error   string `json:"error,omitempty"`
	// The command sends Folder and Routes in its first message. The supervisor may
	// write to Folder. Routes are the laptop's.
	Folder string        `json:"folder,omitempty"`
	Routes []route.Entry `json:"routes,omitempty"`
	// The command may send Volumes before Begin. The supervisor answers with Placed, and
	// with Notices of those that it does not show.
	Volumes *Volumes `json:"volumes,omitempty"`
	Placed  bool     `json:"placed,omitempty"`
	Notices []string `json:"notices,omitempty"`
	// The command sends Begin to start the program, with the program's environment.
	// Entries are bytes, because not all of them are UTF-8.
	Begin       bool     `json:"begin,omitempty"`
	Environment [][]byte `json:"environment,omitempty"`
}

// control is one end of the connection between the command and the supervisor. When
// the command closes its end, the supervisor ends.
type control struct {
	rw io.ReadWriteCloser
	in *json.Decoder
	mu sync.Mutex
}

func newControl(rw io.ReadWriteCloser) *control { return &control{rw: rw, in: json.NewDecoder(rw)} }

func (c *control) send(m message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return json.NewEncoder(c.rw).Encode(m)
}

func (c *control) receive() (m message, err error) {
	err = c.in.Decode(&m)
	return m, err
}

func (c *control) close() error { return c.rw.Close() }
