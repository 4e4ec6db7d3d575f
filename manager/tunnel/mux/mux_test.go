package mux

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// rig is a relay and a session joined by n carriers; target takes the flows.
func rig(t testing.TB, n int, target func(net.Conn)) *Group {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := NewGroup(NewBudget(64 << 20))
	budget := NewBudget(64 << 20)
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	handler := func(ctx context.Context, o *frame.Open, in tunnel.Incoming) error {
		if target == nil {
			return frame.ErrRefused
		}
		near, far := tunneltest.Pair(t)
		go target(far)
		if err := in.Accept(); err != nil {
			return err
		}
		if len(o.First) > 0 {
			if _, err := near.Write(o.First); err != nil {
				return err
			}
		}
		return in.Join(tunnel.NewTCP(near), nil)
	}
	up := make(chan struct{}, n)
	for range n {
		a, b := tunneltest.Pair(t)
		wg.Go(func() { Serve(ctx, a, budget, handler) })
		wg.Go(func() { g.Add(ctx, b, func() { up <- struct{}{} }) })
	}
	for i := range n {
		<-up
		if have := g.Len(); have <= i {
			t.Fatalf("%d carriers are said to be up, %d are", i+1, have)
		}
	}
	return g
}

// open starts a flow and returns the caller's end.
func open(t testing.TB, g *Group, first []byte) (*net.TCPConn, chan error) {
	t.Helper()
	caller, end := tunneltest.Pair(t)
	f, err := g.Open(context.Background(), &frame.Open{Intercept: "ns/x", Session: "s", Port: 80, First: first})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		if err := f.Confirm(); err != nil {
			tunnel.NewTCP(end).Reset()
			done <- err
			return
		}
		done <- f.Join(tunnel.NewTCP(end), nil)
	}()
	return caller, done
}

func echo(c net.Conn) {
	defer c.Close()
	io.Copy(c, c)
}

func TestEchoWithHalfClose(t *testing.T) {
	g := rig(t, 2, echo)
	c, done := open(t, g, []byte("first "))
	data := make([]byte, 20<<20)
	rand.Read(data)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, append([]byte("first "), data...)) {
		t.Fatalf("echo of %d bytes differs from %d sent", len(got), len(data)+6)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestServerEndsFirst(t *testing.T) {
	got := make(chan []byte, 1)
	g := rig(t, 1, func(c net.Conn) {
		c.Write([]byte("bye"))
		c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		got <- b
		c.Close()
	})
	c, done := open(t, g, nil)
	b, err := io.ReadAll(c)
	if err != nil || string(b) != "bye" {
		t.Fatalf("read %q, %v", b, err)
	}
	c.Write([]byte("still here"))
	c.CloseWrite()
	if b := <-got; string(b) != "still here" {
		t.Fatalf("server read %q after its own end", b)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestResetPasses(t *testing.T) {
	g := rig(t, 1, func(c net.Conn) {
		io.ReadFull(c, make([]byte, 1))
		tunnel.NewTCP(c.(*net.TCPConn)).Reset()
	})
	c, done := open(t, g, []byte("x"))
	_, err := c.Read(make([]byte, 1))
	if err == nil || err == io.EOF {
		t.Fatalf("caller saw %v, want a reset", err)
	}
	if err := <-done; err == nil {
		t.Fatal("join ended without an error")
	}

	seen := make(chan error, 1)
	g = rig(t, 1, func(c net.Conn) {
		c.Write([]byte("y"))
		_, err := io.Copy(io.Discard, c)
		seen <- err
	})
	c, _ = open(t, g, nil)
	io.ReadFull(c, make([]byte, 1))
	tunnel.NewTCP(c).Reset()
	if err := <-seen; err == nil {
		t.Fatal("server saw an end, want a reset")
	}
}

func TestRefused(t *testing.T) {
	g := rig(t, 1, nil)
	_, done := open(t, g, nil)
	if err := <-done; !errors.Is(err, frame.ErrRefused) {
		t.Fatalf("confirm says %v, want %v", err, frame.ErrRefused)
	}
	if _, err := NewGroup(NewBudget(0)).Open(context.Background(), &frame.Open{}); !errors.Is(err, ErrNoCarrier) {
		t.Fatalf("open without carrier says %v", err)
	}
}

// A reader that never reads must not stop the other direction of its flow,
// nor any other flow, and must not make the window grow.
func TestStalledReader(t *testing.T) {
	var stalled atomic.Int64
	g := rig(t, 1, func(c net.Conn) {
		kind := make([]byte, 1)
		io.ReadFull(c, kind)
		if kind[0] == 'e' {
			echo(c)
			return
		}
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Write(buf)
			stalled.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	var callers []*net.TCPConn
	for range 20 {
		c, _ := open(t, g, []byte("d"))
		callers = append(callers, c)
	}
	c, done := open(t, g, []byte("e"))
	data := make([]byte, 8<<20)
	go func() { c.Write(data); c.CloseWrite() }()
	if b, err := io.ReadAll(c); err != nil || len(b) != len(data)+0 {
		t.Fatalf("healthy flow read %d bytes, %v", len(b), err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Kernel buffers aside, a stalled flow holds its initial window.
	if n := stalled.Load() / 20; n > 16<<20 {
		t.Fatalf("a stalled flow swallowed %d bytes", n)
	}
	for _, c := range callers {
		c.Write([]byte("the other way still works"))
		c.Close()
	}
}

func TestManyFlows(t *testing.T) {
	g := rig(t, 4, echo)
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			c, done := open(t, g, nil)
			c.Write([]byte("ping"))
			c.CloseWrite()
			if b, err := io.ReadAll(c); err != nil || string(b) != "ping" {
				t.Errorf("read %q, %v", b, err)
			}
			<-done
		})
	}
	wg.Wait()
	g.mu.Lock()
	carriers := slices.Clone(g.carriers)
	g.mu.Unlock()
	for i, o := range carriers {
		tunneltest.Wait(t, "flows to go", func() bool { return o.control.count() == 0 })
		if o.next.Load() == 0 {
			t.Errorf("carrier %d was never used", i)
		}
	}
}

func TestPingAndCarrierLoss(t *testing.T) {
	g := rig(t, 2, echo)
	if _, ok := g.Ping(5 * time.Second); !ok {
		t.Fatal("no answer to a ping")
	}
	c, done := open(t, g, nil)
	g.mu.Lock()
	for _, o := range g.carriers {
		o.cc.Close()
	}
	g.mu.Unlock()
	if err := <-done; err == nil {
		t.Fatal("flow ended well although its carrier broke")
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Fatalf("caller saw %v, want a reset", err)
	}
	tunneltest.Wait(t, "carriers to go", func() bool { return g.Len() == 0 })
}
