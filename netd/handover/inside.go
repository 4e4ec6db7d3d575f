package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Port is one of the localhost that a program has for itself, in a network
// namespace of its own.
type Port struct {
	// Network is "tcp" or "udp".
	Network string `json:"network"`
	Number  uint16 `json:"number"`
}

// Check says what is wrong with a Port.
func (d *Port) Check() error {
	switch {
	case d == nil:
		return errors.New("dial: the port is missing")
	case d.Network != "tcp" && d.Network != "udp":
		return fmt.Errorf("dial %q: use tcp or udp", d.Network)
	case d.Number == 0:
		return errors.New("dial: port 0 is none")
	}
	return nil
}

// DialInside asks for a connection to a port of the program's own localhost.
// Only who made a network for one program has such a place; intercept-netd
// refuses. The socket is the caller's and belongs to the other namespace for
// good: its bytes take no detour.
func (c *Client) DialInside(ctx context.Context, d Port) (net.Conn, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	a, err := c.ask(ctx, Request{Op: OpDial, Dial: &d})
	if err != nil {
		return nil, err
	}
	if a.file == nil {
		return nil, errors.New("answered without a socket")
	}
	defer a.file.Close()
	conn, err := net.FileConn(a.file)
	if err != nil {
		return nil, fmt.Errorf("take the socket over: %w", err)
	}
	return conn, nil
}
