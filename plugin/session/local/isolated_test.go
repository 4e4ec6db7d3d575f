//go:build unix

package local

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// insideOf is a program with a localhost of its own, of which every port comes
// out at to.
func insideOf(t *testing.T, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	answer := func(h *handover.Conn, r *handover.Request) error {
		if r.Op != handover.OpDial {
			return h.Reply(r.ID, nil, nil, nil)
		}
		c, err := net.Dial(r.Dial.Network, to)
		if err != nil {
			return h.Reply(r.ID, nil, nil, err)
		}
		defer c.Close()
		f, err := c.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			return err
		}
		defer f.Close()
		return h.Reply(r.ID, nil, f, nil)
	}
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer raw.Close()
				h, err := handover.Greet(raw.(*net.UnixConn), "test")
				for err == nil {
					var r *handover.Request
					if r, err = h.Receive(); err == nil {
						err = answer(h, r)
					}
				}
			}()
		}
	}()
	return path
}

func TestInside(t *testing.T) {
	l := tunneltest.Listen(t, func(c net.Conn) {
		_, _ = c.Write([]byte("inside")) // the test reads it or fails
		c.Close()
	})
	e := newEntry(&v1alpha1.Intercept{})
	in, former := e.setProgram(state.Program{Socket: insideOf(t, l.Addr().String())})
	if in == nil || !former.Equal(state.Program{}) {
		t.Fatal("the entry has no program")
	}
	defer in.close()
	if again, former := e.setProgram(state.Program{Socket: in.socket, Command: "c"}); again != in || !former.Equal(state.Program{Socket: in.socket}) {
		t.Error("the same socket is a change")
	}
	// A port of this machine on which nobody listens.
	conn, stream, err := dial(context.Background(), e.program(), endpoint{"127.0.0.1", 1, frame.TCP})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 16)
	if n, err := stream.Read(buf); err != nil || string(buf[:n]) != "inside" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	if _, former := e.setProgram(state.Program{}); !former.Equal(state.Program{Socket: in.socket, Command: "c"}) || e.program() != nil {
		t.Error("the entry is not led back to this machine")
	}
	if _, _, err := dial(context.Background(), e.program(), endpoint{"127.0.0.1", 1, frame.TCP}); err == nil {
		t.Error("a port on which nobody listens answers")
	}
}
