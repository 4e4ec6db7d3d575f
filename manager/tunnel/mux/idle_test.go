package mux

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// middlebox cuts a connection on which nothing moves, as load balancers do.
type middlebox struct {
	net.Conn
	cut *time.Timer
}

const cutAfter = 4 * time.Minute

func (m *middlebox) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.cut.Reset(cutAfter)
	return n, err
}

func (m *middlebox) Write(p []byte) (int, error) {
	m.cut.Reset(cutAfter)
	return m.Conn.Write(p)
}

// TestIdle: a carrier that nobody uses is there hours later, and so is a flow
// on it.
func TestIdle(t *testing.T) {
	buffer.Pool() // not in the bubble: other tests use it, too
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		near := &middlebox{Conn: a, cut: time.AfterFunc(cutAfter, func() { a.Close() })}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		var flows sync.WaitGroup
		g := NewGroup(NewBudget(1 << 20))
		go func() { ended <- g.Add(ctx, near, nil) }()
		go func() {
			ended <- Serve(ctx, b, NewBudget(1<<20), func(_ context.Context, _ *frame.Open, in tunnel.Incoming) error {
				if err := in.Accept(); err != nil {
					return err
				}
				inside, outside := net.Pipe()
				flows.Go(func() { io.Copy(inside, inside) })
				return in.Join(pipeStream{outside}, nil)
			})
		}()
		synctest.Wait()
		speak := func(c net.Conn, text string) {
			t.Helper()
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, len(text))
			if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
				t.Fatalf("%q, %v", buf, err)
			}
		}
		open := func() net.Conn {
			t.Helper()
			f, err := g.Open(ctx, &frame.Open{Target: "10.0.0.1:80"})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Confirm(); err != nil {
				t.Fatal(err)
			}
			inside, outside := net.Pipe()
			flows.Go(func() { f.Join(pipeStream{outside}, nil) })
			return inside
		}
		old := open()
		speak(old, "at first")
		time.Sleep(2 * time.Hour)
		select {
		case err := <-ended:
			t.Fatalf("the carrier ended: %v", err)
		default:
		}
		speak(old, "hours later")
		another := open()
		speak(another, "and again")
		old.Close()
		another.Close()
		flows.Wait()
		cancel()
		<-ended
		<-ended
	})
}

// pipeStream is an end of a net.Pipe.
type pipeStream struct{ net.Conn }

func (p pipeStream) CloseWrite() error { return p.Close() } // the echo has nothing more to say
func (p pipeStream) Reset()            { p.Close() }
