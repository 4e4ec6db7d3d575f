//go:build linux

package stack

import (
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzDevice gives anything to a whole Stack, as if it came from the TUN.
func FuzzDevice(f *testing.F) {
	from, to := hosts(false)
	f.Add(append(make([]byte, vnetSize), syn(1)...))
	f.Add(append(make([]byte, vnetSize), written(f, 1500, from, to, request(false, 56))[0]...))
	from, to = hosts(true)
	f.Add(append([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0}, written(f, 1500, from, to, request(true, 56))[0]...))
	far, near := sockets(f)
	s, err := New(Config{File: far, Offload: true, Handler: funcs{
		tcp:  func(r *TCPRequest) { r.Refuse() },
		ping: func(e *Echo) { e.Reply(e.Payload) },
	}})
	if err != nil {
		f.Fatal(err)
	}
	fd := int(near.Fd())
	f.Cleanup(func() {
		s.Close()
		near.Close()
	})
	buf := make([]byte, 70<<10)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > 60<<10 {
			return
		}
		if _, err := unix.Write(fd, b); err != nil {
			t.Fatalf("the stack ended: %v", err)
		}
		for { // answers
			if _, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT); err != nil {
				return
			}
		}
	})
}
