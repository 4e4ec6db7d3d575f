package carrier

import (
	"net"
	"slices"
	"sync"
	"weak"
)

// sockets are connections that can be closed together. It keeps none of them alive.
type sockets struct {
	mu   sync.Mutex
	all  []weak.Pointer[net.TCPConn]
	tidy int // the length at which add removes those that are gone
}

// add notes a connection, if it is one of TCP.
func (s *sockets) add(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= s.tidy {
		s.all = slices.DeleteFunc(s.all, func(p weak.Pointer[net.TCPConn]) bool { return p.Value() == nil })
		s.tidy = max(2*len(s.all), linesMax)
	}
	s.all = append(s.all, weak.Make(t))
}

// drop closes all of them.
func (s *sockets) drop() {
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for _, p := range all {
		if c := p.Value(); c != nil {
			c.Close() // it may be closed already
		}
	}
}
