//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// raw intercepts deployment quote with a program that speaks TCP, and returns
// a way to call it through the Service.
func raw(t *testing.T, handle func(*net.TCPConn)) (l *lab.Lab, call func() *net.TCPConn, alice *lab.Laptop) {
	t.Helper()
	l = lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice = l.Laptop("alice")
	program := alice.Listen(func(c net.Conn) { handle(c.(*net.TCPConn)) })
	alice.Intercept("add", "quote", "--port", program.To(""))
	return l, func() *net.TCPConn {
		c, err := l.Nodes[1].Dial(t.Context(), "tcp", quote)
		l.Must(err)
		l.Must(c.SetDeadline(time.Now().Add(time.Minute)))
		t.Cleanup(func() { c.Close() })
		return c.(*net.TCPConn)
	}, alice
}

// TestBulk sends 1 GiB each way and compares checksums. The end of each is a
// half-close, after which the other side still speaks.
func TestBulk(t *testing.T) {
	const size = 1 << 30
	_, call, _ := raw(t, func(c *net.TCPConn) {
		defer c.Close()
		sum, err := drain(c)
		if err == nil && sum.n == 0 { // nothing sent: they want to receive
			sum, err = pour(c, size)
			sum.n = 0
		}
		if err == nil {
			fmt.Fprintf(c, "%016x", sum.crc)
		}
	})
	start := time.Now()
	up := call()
	sent, err := pour(up, size)
	must(t, err)
	must(t, up.CloseWrite())
	answer, err := io.ReadAll(up)
	must(t, err)
	if string(answer) != fmt.Sprintf("%016x", sent.crc) {
		t.Errorf("up: %q arrived, %016x was sent", answer, sent.crc)
	}
	t.Logf("up: %s", time.Since(start))

	start = time.Now()
	down := call()
	must(t, down.CloseWrite())
	got, err := drain(io.LimitReader(down, size))
	must(t, err)
	answer, err = io.ReadAll(down)
	must(t, err)
	if string(answer) != fmt.Sprintf("%016x", got.crc) || got.n != size {
		t.Errorf("down: %q was sent, %016x arrived (%d bytes)", answer, got.crc, got.n)
	}
	t.Logf("down: %s", time.Since(start))
}

// TestMany holds a thousand connections open at once and speaks on each.
func TestMany(t *testing.T) {
	const count = 1000
	l, call, _ := raw(t, echo)
	conns := make([]*net.TCPConn, count)
	var wg sync.WaitGroup
	each := func(f func(n int) error) {
		t.Helper()
		errs := make([]error, count)
		for n := range count {
			wg.Go(func() { errs[n] = f(n) })
		}
		wg.Wait()
		if failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil }); len(failed) > 0 {
			i, err := l.Get("quote")
			t.Fatalf("%d of %d connections: %v; status: %+v, %v", len(failed), count, failed[0], i.Status, err)
		}
	}
	for n := range count {
		conns[n] = call()
	}
	for range 2 {
		each(func(n int) error { return speak(conns[n], fmt.Sprintf("connection %d", n)) })
	}
	l.Until("all are counted", func() error { return counted(l, "quote", count) })
}

// TestReset passes resets on, in both directions.
func TestReset(t *testing.T) {
	ended := make(chan error, 1)
	_, call, _ := raw(t, func(c *net.TCPConn) {
		word := make([]byte, 5)
		if _, err := io.ReadFull(c, word); err != nil {
			return // add has looked whether somebody listens
		}
		if string(word) == "reset" {
			c.SetLinger(0)
			c.Close()
			return
		}
		c.Write(word)
		_, err := c.Read(word)
		ended <- err
	})
	c := call()
	_, err := c.Write([]byte("reset"))
	must(t, err)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset of the laptop's reaches the caller as %v", err)
	}
	c = call()
	must(t, speak(c, "hello"))
	must(t, c.SetLinger(0))
	c.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a reset of the caller's reaches the laptop as %v", err)
		}
	case <-time.After(lab.Patience):
		t.Error("a reset of the caller's does not reach the laptop")
	}
}

// TestHalfClose lets either side finish while the other goes on.
func TestHalfClose(t *testing.T) {
	heard := make(chan string, 1)
	_, call, _ := raw(t, func(c *net.TCPConn) {
		defer c.Close()
		c.Write([]byte("hello"))
		c.CloseWrite()
		if rest, _ := io.ReadAll(c); len(rest) > 0 { // else it is add, which looks whether somebody listens
			heard <- string(rest)
		}
	})
	c := call()
	got, err := io.ReadAll(c) // the laptop has finished, we have not
	must(t, err)
	_, err = c.Write([]byte("still here"))
	must(t, err)
	must(t, c.CloseWrite())
	if rest := <-heard; string(got) != "hello" || rest != "still here" {
		t.Errorf("the caller heard %q, the laptop %q", got, rest)
	}
}
