package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

const (
	// dialTimeout bounds connecting to the local program.
	dialTimeout = 1500 * time.Millisecond
	// datagramIdle ends a UDP flow.
	datagramIdle = time.Minute
)

// Handle connects a flow with the local program it belongs to. It is a
// tunnel.Handler.
func (t *Table) Handle(ctx context.Context, o *frame.Open, in tunnel.Incoming) error {
	if !o.Supported(frame.Captured, frame.Headers) {
		return frame.ErrUnsupported
	}
	if o.Kind == frame.Headers {
		return t.told(o)
	}
	e, p, err := t.find(ctx, o)
	if err != nil {
		t.log.Warn("flow is not served", "intercept", o.Intercept, "port", o.Port, "protocol", o.Protocol.String(), "error", err)
		return err
	}
	c := e.count(p)
	if !e.typed(p) {
		c.refused.Add(1)
		t.log.Warn("flow is not served: nobody typed its address on this machine", "intercept", o.Intercept, "local", p.String())
		return frame.ErrRefused
	}
	stream, left, err := (&way{e, p, o, t.log}).open(ctx)
	defer left()
	if err != nil {
		c.refused.Add(1)
		t.log.Debug("local port does not answer", "intercept", o.Intercept, "local", p.String(), "error", err)
		if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
			return frame.ErrTimedOut // its queue is full: a debugger may have stopped it
		}
		return frame.ErrRefused
	}
	if err := in.Accept(); err != nil {
		stream.Close()
		return err
	}
	c.connections.Add(1)
	if p.protocol != frame.UDP {
		if err := write(stream, o.First); err != nil {
			stream.Reset()
			return fmt.Errorf("write to %s: %w", p, err)
		}
	}
	c.in.Add(int64(len(o.First)))
	return in.Join(stream, func(in, out int) {
		c.in.Add(int64(in))
		c.out.Add(int64(out))
	})
}

// write sends the first bytes, which came with the flow's Open, if there are any.
func write(to io.Writer, first []byte) error {
	if len(first) == 0 {
		return nil
	}
	_, err := to.Write(first)
	return err
}

// find returns where a flow goes. It reads the Intercept again if the known one has no port
// for the flow.
func (t *Table) find(ctx context.Context, o *frame.Open) (*entry, endpoint, error) {
	e, err := t.lookup(ctx, o)
	if err != nil {
		return nil, endpoint{}, err
	}
	if p, ok := e.where(o); ok {
		return e, p, nil
	}
	i := e.object()
	if e, err = t.fetch(ctx, clientKey(i)); err != nil {
		return nil, endpoint{}, err
	}
	if p, ok := e.where(o); ok {
		return e, p, nil
	}
	return nil, endpoint{}, fmt.Errorf("intercept %s has no port %d/%s: %w", o.Intercept, o.Port, o.Protocol, frame.ErrRefused)
}

var errNotTCP = errors.New("not a TCP connection")

// dial connects to the program, here or in its own network.
func dial(ctx context.Context, in *isolated, p endpoint) (conn net.Conn, stream tunnel.Stream, err error) {
	switch {
	case in != nil:
		conn, err = in.dial(ctx, p)
	case p.protocol == frame.UDP:
		conn, err = dialUDP(ctx, p)
	default:
		conn, err = dialTCP(ctx, p)
	}
	if err != nil {
		return nil, nil, err
	}
	if p.protocol == frame.UDP {
		return conn, datagram.New(conn, datagramIdle), nil
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return nil, nil, errNotTCP
	}
	return tcp, tunnel.NewTCP(tcp), nil
}

// dialTCP connects to a local program. Some listen on localhost by its IPv6
// address only.
func dialTCP(ctx context.Context, p endpoint) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "tcp", p.String())
	if err != nil && p.host == localhost4 {
		six := p
		six.host = localhost6
		if c6, err6 := d.DialContext(ctx, "tcp", six.String()); err6 == nil {
			c, err = c6, nil
		}
	}
	return c, err
}

// ask sends the first datagram to a local program: only after a write the kernel says that
// no program listens. Then ask tries the other address of localhost, since some programs
// listen by its IPv6 address only.
func ask(ctx context.Context, conn net.Conn, s tunnel.Stream, in *isolated, p endpoint, first []byte) (net.Conn, tunnel.Stream, error) {
	for {
		err := write(conn, first)
		if err == nil && !refused(conn) {
			return conn, s, nil
		}
		conn.Close()
		if in != nil || p.host != localhost4 {
			return nil, nil, errors.Join(frame.ErrRefused, err)
		}
		p.host = localhost6
		if conn, s, err = dial(ctx, nil, p); err != nil {
			return nil, nil, err
		}
	}
}

// The addresses of localhost.
const localhost4, localhost6 = "127.0.0.1", "::1"

func dialUDP(ctx context.Context, p endpoint) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "udp", p.String())
}
