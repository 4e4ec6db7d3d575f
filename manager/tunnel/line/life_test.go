package line

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// counted is a connection that says when something is written to it.
type counted struct {
	net.Conn
	writes atomic.Int32
	wrote  chan struct{}
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	select {
	case c.wrote <- struct{}{}:
	default:
	}
	return c.Conn.Write(p)
}

// A quiet line moves bytes both ways, within a flow and between two, and the
// flows are none the wiser.
func TestSignsOfLife(t *testing.T) {
	c, s := tlsPair(t)
	var ends [2]*Conn
	var wires [2]*counted
	for i, end := range []interface{ NetConn() net.Conn }{c, s} {
		raw := end.NetConn().(*record.Conn)
		wires[i] = &counted{Conn: raw.Conn, wrote: make(chan struct{}, 1)}
		raw.Conn = wires[i]
	}
	ends[0], _ = newConn(c, true)
	ends[1], _ = newConn(s, true)
	quiet := func(when string) {
		t.Helper()
		for i := range ends {
			for range 3 {
				for deadline, given := time.Now().Add(10*time.Second), false; !given; {
					if time.Now().After(deadline) {
						t.Fatalf("%s: end %d gives no sign of life", when, i)
					}
					ends[i].life.timer.Reset(0) // time passes
					select {
					case <-wires[i].wrote:
						given = true
					case <-time.After(time.Millisecond):
					}
				}
			}
		}
	}
	for round, payload := range [][]byte{bytes.Repeat([]byte("a"), 300<<10), []byte("b")} {
		quiet("before a flow")
		a, b := ends[0], ends[1]
		a.OnIdle(func(next tunnel.Stream) { ends[0] = next.(*Conn) })
		b.OnIdle(func(next tunnel.Stream) { ends[1] = next.(*Conn) })
		got := make(chan []byte, 1)
		go func() {
			all, err := io.ReadAll(b)
			if err != nil {
				t.Error(err)
			}
			got <- all
		}()
		for piece := range bytes.SplitSeq(payload, []byte("x")) {
			if _, err := a.Write(piece); err != nil {
				t.Fatal(err)
			}
			quiet("within a flow")
		}
		a.CloseWrite()
		if all := <-got; !bytes.Equal(all, payload) {
			t.Fatalf("round %d: %d bytes arrive of %d", round, len(all), len(payload))
		}
		b.CloseWrite()
		if rest, err := io.ReadAll(a); err != nil || len(rest) > 0 {
			t.Fatalf("round %d: %q, %v", round, rest, err)
		}
		a.Close()
		b.Close()
	}
	quiet("after the last flow")
}

// Nothing between agent and relay cuts quiet connections: no signs of life.
func TestNoSignsBetweenAgentAndRelay(t *testing.T) {
	c, _ := tlsPair(t)
	f, err := NewConn(c)
	if err != nil {
		t.Fatal(err)
	}
	if f.life.timer != nil {
		t.Error("signs of life are given")
	}
}
