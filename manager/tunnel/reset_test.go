package tunnel_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// TestPipeResets: a reset of one end reaches the other end as a reset, also if the kernel
// has reported it to a write before. An end stays an end, also if a reset follows it.
func TestPipeResets(t *testing.T) {
	tcp := func(c *net.TCPConn) tunnel.Stream { return tunnel.NewTCP(c) }
	opaque := func(c *net.TCPConn) tunnel.Stream { return struct{ tunnel.Stream }{tunnel.NewTCP(c)} }
	for _, tt := range []struct {
		name  string
		end   func(*net.TCPConn)
		wants error
	}{
		{"reset", func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, syscall.ECONNRESET},
		{"end", func(c *net.TCPConn) { c.CloseWrite() }, io.EOF},
		{"end, then reset", func(c *net.TCPConn) { c.Close() }, io.EOF},
	} {
		for name, stream := range map[string]func(*net.TCPConn) tunnel.Stream{"in the kernel": tcp, "past it": opaque} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				near, a := tunneltest.Pair(t)
				far, b := tunneltest.Pair(t)
				to := stream(b)
				tt.end(far)
				for tt.name != "end" {
					if _, err := to.Write([]byte("x")); err != nil {
						break // the kernel has reported the reset
					}
				}
				done := make(chan error, 1)
				go func() { done <- tunnel.Pipe(stream(a), to, nil) }()
				near.SetDeadline(time.Now().Add(10 * time.Second))
				if n, err := near.Read(make([]byte, 1)); !errors.Is(err, tt.wants) {
					t.Errorf("%d bytes, %v", n, err)
				}
				near.Close()
				far.Close()
				<-done
			})
		}
	}
}

// TestSpliceTellsSides: the error of Splice says which connection has failed.
func TestSpliceTellsSides(t *testing.T) {
	for name, splice := range map[string]func(dst, src tunnel.Stream) error{
		"Splice":  func(dst, src tunnel.Stream) error { return tunnel.Splice(dst, src, func(int) {}) },
		"SpliceN": func(dst, src tunnel.Stream) error { return tunnel.SpliceN(dst, src, 1<<40, func(int) {}) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, source := range []bool{true, false} {
				near, a := tunneltest.Pair(t)
				far, b := tunneltest.Pair(t)
				broken := far
				if source {
					broken = near
				}
				go func() {
					for err := error(nil); err == nil; {
						_, err = near.Write(make([]byte, 64<<10))
					}
				}()
				dst := tunnel.NewTCP(b)
				done := make(chan error, 1)
				go func() { done <- splice(dst, tunnel.NewTCP(a)) }()
				if _, err := io.ReadFull(far, make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
				broken.SetLinger(0)
				broken.Close()
				go io.Copy(io.Discard, far)
				err := <-done
				var write *tunnel.WriteError
				if err == nil || errors.As(err, &write) == source {
					t.Errorf("source %v: %v", source, err)
				}
			}
		})
	}
}

// TestPipeResetsWhileItWrites: a reset passes on although the far end reads nothing, so that
// a write to it lasts, and the near end is not read.
func TestPipeResetsWhileItWrites(t *testing.T) {
	for name, far := range map[string]func(*net.TCPConn) tunnel.Stream{
		"in the kernel": tunnel.NewTCP,
		"past it":       func(c *net.TCPConn) tunnel.Stream { return struct{ tunnel.Stream }{tunnel.NewTCP(c)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caller, a := tunneltest.Pair(t)
			program, b := tunneltest.Pair(t)
			done := make(chan error, 1)
			go func() { done <- tunnel.Pipe(tunnel.NewTCP(a), far(b), nil) }()
			caller.SetWriteDeadline(time.Now().Add(time.Second))
			for err := error(nil); err == nil; { // until nothing fits any more
				_, err = caller.Write(make([]byte, 1<<20))
			}
			caller.SetLinger(0)
			caller.Close()
			select {
			case err := <-done:
				if err == nil {
					t.Error("the pipe ends as if all had been moved")
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the pipe goes on")
			}
			program.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, program); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the program sees %v", err)
			}
		})
	}
}
