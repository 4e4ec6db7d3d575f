package carrier

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// endless is a connection on which deadlines have no effect.
type endless struct{ net.Conn }

func (endless) SetDeadline(time.Time) error      { return nil }
func (endless) SetReadDeadline(time.Time) error  { return nil }
func (endless) SetWriteDeadline(time.Time) error { return nil }

// A Read whose deadline passes takes nothing away from later ones.
func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := newTimed(endless{near})
		defer c.Close()
		defer far.Close()
		read := func() (string, error) {
			b := make([]byte, 3)
			n, err := c.Read(b)
			return string(b[:n]), err
		}
		late := func(what string, after time.Duration) {
			t.Helper()
			begun := time.Now()
			if got, err := read(); !errors.Is(err, os.ErrDeadlineExceeded) || got != "" || time.Since(begun) != after {
				t.Errorf("%s: %q, %v after %s", what, got, err, time.Since(begun))
			}
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		late("a deadline", time.Second)
		late("the same", 0)
		c.SetReadDeadline(time.Now().Add(time.Hour))
		time.AfterFunc(time.Second, func() { c.SetReadDeadline(time.Unix(1, 0)) })
		late("it is moved before now", time.Second)
		c.SetReadDeadline(time.Now().Add(time.Second))
		time.AfterFunc(500*time.Millisecond, func() { c.SetReadDeadline(time.Now().Add(time.Second)) })
		late("it is moved on", 1500*time.Millisecond)
		go func() { io.WriteString(far, "hello"); far.Close() }()
		synctest.Wait()
		late("with something to read", 0)
		c.SetReadDeadline(time.Time{})
		for _, want := range []string{"hel", "lo"} {
			if got, err := read(); got != want || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
		}
		for range 2 {
			if _, err := read(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		}
	})
}

// A Write whose deadline passes breaks the connection.
func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := newTimed(endless{near})
		defer far.Close()
		go io.ReadFull(far, make([]byte, 2))
		if _, err := io.WriteString(c, "ab"); err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(-time.Second))
		if _, err := io.WriteString(c, "cd"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("too late: %v", err)
		}
		c.SetDeadline(time.Now().Add(time.Second))
		begun := time.Now()
		if _, err := io.WriteString(c, "cd"); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("nobody reads: %v after %s", err, time.Since(begun))
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection is open: %v", err)
		}
	})
}

// All bytes arrive in their order, and the pump ends with the connection.
func TestTimedBytes(t *testing.T) {
	near, far := pair(t)
	c := newTimed(endless{near})
	sent := make([]byte, 5<<20)
	for i := range sent {
		sent[i] = byte(i >> 7)
	}
	go func() {
		far.Write(sent)
		far.Close()
	}()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != string(sent) {
		t.Errorf("%d of %d bytes, %v", len(got), len(sent), err)
	}
}

// The end of a connection ends what reads ahead on it, also if nobody reads that.
func TestTimedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := newTimed(endless{near})
		go func() {
			for {
				if _, err := far.Write(make([]byte, ahead)); err != nil {
					return
				}
			}
		}()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.Close() // synctest fails if a goroutine stays
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed connection is read: %v", err)
		}
	})
}
