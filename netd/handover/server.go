package handover

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Conn is netd's side of a session's connection. One goroutine receives; any
// may reply.
type Conn struct {
	c     *net.UnixConn
	token string
	mu    sync.Mutex // held while a reply is written
}

// Token is what the client said to get packets; "" if it will ask.
func (c *Conn) Token() string { return c.token }

// Packets takes the connection over, for packets.
func (c *Conn) Packets() *Packets { return NewPackets(c.c) }

// Greet agrees with a new client on the version. After an error the caller
// closes the connection.
func Greet(c *net.UnixConn, release string) (*Conn, error) {
	c.SetDeadline(time.Now().Add(patience))
	defer c.SetDeadline(time.Time{})
	var h hello
	if err := read(c, &h); err != nil {
		return nil, err
	}
	if err := write(c, hello{Protocol: Protocol, Release: release}); err != nil {
		return nil, err
	}
	if h.Protocol != Protocol {
		return nil, &VersionError{Protocol: h.Protocol}
	}
	return &Conn{c: c, token: h.Packets}, nil
}

// Receive waits for a request, which has yet to be checked.
func (c *Conn) Receive() (*Request, error) {
	var r Request
	if err := read(c.c, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// Check says what is wrong with a request to intercept-netd.
func (r *Request) Check() error {
	switch r.Op {
	case OpClose:
		return nil
	case OpDial, OpListen:
		return errors.New(r.Op + ": only a program that kubectl intercept run started has ports of its own")
	case OpOpen, OpUpdate:
		if r.Config == nil {
			return errors.New(r.Op + ": config is missing")
		}
		return r.Config.Validate()
	}
	return errors.New("unknown request")
}

// Reply answers a request. f, if not nil, goes along and stays the caller's.
func (c *Conn) Reply(id uint64, n *Network, f *os.File, err error) error {
	r := reply{ID: id, Network: n}
	var refused *RefusedError
	if errors.As(err, &refused) {
		r.Refused = refused.Conflicts
	} else if err != nil {
		r.Error, r.Taken = err.Error(), errors.Is(err, ErrTaken)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.c.SetWriteDeadline(time.Now().Add(patience))
	if f == nil {
		return write(c.c, r)
	}
	return writeFile(c.c, r, f)
}
