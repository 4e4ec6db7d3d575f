package translator

import (
	"net"
	"sync"
)

// listener has one connection, and ends with it.
type listener struct {
	conns chan net.Conn
	done  chan struct{}
	addr  net.Addr
}

func newListener(c net.Conn) *listener {
	l := &listener{conns: make(chan net.Conn, 1), done: make(chan struct{}), addr: c.LocalAddr()}
	l.conns <- &last{Conn: c, closed: sync.OnceFunc(func() { close(l.done) })}
	return l
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error { return nil }

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// last is the connection of a listener.
type last struct {
	net.Conn
	closed func()
}

// Close implements net.Conn.
func (l *last) Close() error {
	defer l.closed()
	return l.Conn.Close()
}
