package stack

import (
	"io"
	"net"
	"net/netip"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Conn is a program's connection. It is a net.Conn and has what a
// tunnel.Stream needs. One goroutine may read while another writes.
//
// It is no io.ReaderFrom or io.WriterTo, as neither would save a copy: gVisor
// wants to know the size of what it reads before it reads, and gives out its
// own memory only while the connection is locked.
type Conn struct {
	endpoint
	from, to netip.AddrPort
}

func newConn(ep tcpip.Endpoint, wq *waiter.Queue, from, to netip.AddrPort) *Conn {
	tuneConn(ep)
	c := &Conn{from: from, to: to}
	c.init(ep, wq)
	return c
}

// Read returns io.EOF once the program has ended its direction, and an error
// that is syscall.ECONNRESET when it reset the connection.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, terr, err := c.read(b)
	if n > 0 {
		c.ep.ModerateRecvBuf(n)
	}
	if terr != nil {
		err = c.ended(terr)
	}
	return n, c.wrap("read", err)
}

// ended tells the end of a direction from a connection that broke, which
// gVisor says only once and to one of the directions.
func (c *Conn) ended(err tcpip.Error) error {
	switch err.(type) {
	case *tcpip.ErrClosedForReceive, *tcpip.ErrClosedForSend:
		if tcp.EndpointState(c.ep.State()) == tcp.StateError {
			return syscall.ECONNRESET
		}
	}
	return sysError(err)
}

func (c *Conn) Write(b []byte) (int, error) {
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	defer c.out.Reset(nil)
	done := 0
	for done < len(b) {
		c.out.Reset(b[done:])
		n, terr, err := c.write(&c.out)
		done += n
		if terr != nil {
			err = c.ended(terr)
		}
		if err != nil {
			return done, c.wrap("write", err)
		}
	}
	return done, nil
}

// CloseWrite sends a FIN after what was written; reading goes on.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return c.wrap("close", errClosed)
	}
	return c.wrap("close", sysError(c.ep.Shutdown(tcpip.ShutdownWrite)))
}

// Reset sends an RST; what was not sent yet is lost.
func (c *Conn) Reset() {
	if c.closed.Swap(true) {
		c.ep.Abort() // a closed one may still be sending
		return
	}
	c.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
	c.ep.Close()
	c.wake()
}

// Close ends both directions; what was written is still delivered.
func (c *Conn) Close() error {
	if !c.closed.Swap(true) {
		c.ep.Close()
		c.wake()
	}
	return nil
}

func (c *Conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.to) }
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.from) }

func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.RemoteAddr(), Addr: c.LocalAddr(), Err: err}
}
