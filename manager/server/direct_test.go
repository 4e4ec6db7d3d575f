package server

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
)

// At the port for direct connections strangers are bounded as at the others. Whoever has
// proved who it is stays.
func TestDirectStrangersMakeRoom(t *testing.T) {
	known := make(chan struct{})
	s := start(t, http.NotFoundHandler(), http.NotFoundHandler(), func(s *Server) {
		s.Direct = func(c net.Conn, v *budget.Visit) {
			defer v.Known()
			defer c.Close()
			if b := make([]byte, 1); read(c, b) && b[0] == 's' {
				v.Known()
				c.SetDeadline(time.Time{})
				close(known)
				io.Copy(c, c)
			}
		}
	})
	session, err := net.Dial("tcp", s.ListenDirect)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	io.WriteString(session, "s")
	<-known
	silent := crowd(t, s.ListenDirect)
	refusal := budget.Refusal{Peer: budget.Stranger, Reason: "connections"}
	for deadline := time.Now().Add(10 * time.Second); s.Budget.Refusals()[refusal] < 88; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections had to make room", s.Budget.Refusals()[refusal])
		}
	}
	io.WriteString(session, "x")
	session.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(session, make([]byte, 1)); err != nil {
		t.Errorf("the session is cut off: %v", err)
	}
	for _, c := range silent {
		c.Close()
	}
	session.Close()
	forgotten(t, s)
}

func read(c net.Conn, b []byte) bool {
	_, err := io.ReadFull(c, b)
	return err == nil
}
