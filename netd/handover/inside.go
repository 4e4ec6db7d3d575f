package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
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
	return inside(ctx, c, OpDial, d, net.FileConn)
}

// ListenInside asks for a listener at a TCP port of the program's own localhost, on the
// terms of DialInside.
func (c *Client) ListenInside(ctx context.Context, port uint16) (net.Listener, error) {
	return inside(ctx, c, OpListen, Port{Network: "tcp", Number: port}, net.FileListener)
}

// ListenPacketInside is ListenInside for a UDP port.
func (c *Client) ListenPacketInside(ctx context.Context, port uint16) (net.PacketConn, error) {
	return inside(ctx, c, OpListen, Port{Network: "udp", Number: port}, net.FilePacketConn)
}

// inside asks for a socket and makes what it is of it.
func inside[S any](ctx context.Context, c *Client, op string, p Port, of func(*os.File) (S, error)) (s S, err error) {
	if err := p.Check(); err != nil {
		return s, err
	}
	a, err := c.ask(ctx, Request{Op: op, Dial: &p})
	if err != nil {
		return s, err
	}
	if a.file == nil {
		return s, errors.New("answered without a socket")
	}
	defer a.file.Close()
	if s, err = of(a.file); err != nil {
		return s, fmt.Errorf("take the socket over: %w", err)
	}
	return s, nil
}
