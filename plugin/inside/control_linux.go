package inside

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/netd/route"
)

// message is what the two processes say to each other.
type message struct {
	// Ready, Lost, Started and Error come from the supervisor: the namespaces
	// are made; the session is gone; the program began; why there is none.
	Ready   bool   `json:"ready,omitempty"`
	Lost    bool   `json:"lost,omitempty"`
	Started bool   `json:"started,omitempty"`
	Error   string `json:"error,omitempty"`
	// Folder comes first and says where the supervisor may write; Routes are
	// those of the laptop.
	Folder string        `json:"folder,omitempty"`
	Routes []route.Entry `json:"routes,omitempty"`
	// Begin starts the program.
	Begin bool `json:"begin,omitempty"`
}

// control is one end of their connection. When it ends, so does the other side.
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
