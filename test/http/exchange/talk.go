//go:build linux

// Package exchange brings the streams of a corpus to a server and compares what comes
// back, directly and through something in between.
package exchange

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/test/http/corpus"
)

// The ways in which a connection ends.
const (
	Closed      = "closed by the server"
	ClosedAfter = "closed by the server after the caller's end"
	Open        = "left open by the server"
)

// Outcome is what a caller has seen of a server.
type Outcome struct {
	Answer string // all bytes, with volatile ones masked
	End    string

	// early is how much of the answer came before the caller ended its side.
	early int
	// reset says that the server has reset the connection. Then a part of the answer may
	// be lost on the way (RFC 9293, 3.5.2).
	reset bool
}

// Same says that the outcomes can be those of one server.
func (o Outcome) Same(p Outcome) bool {
	if o.reset && p.reset && (strings.HasPrefix(o.Answer, p.Answer) || strings.HasPrefix(p.Answer, o.Answer)) {
		return true
	}
	return o.Answer == p.Answer && o.End == p.End
}

// silent says that the server has said nothing at all.
func (o Outcome) silent() bool { return o.Answer == "" && o.End == Open }

// Caller says how long callers wait.
type Caller struct {
	// Quiet is how long a server says nothing before the caller believes that it has
	// nothing more to say.
	Quiet time.Duration
	// Limit is how long the caller waits for what it knows must come.
	Limit time.Duration
	// Pause is how long a server has at least to look at a piece before the next one.
	Pause time.Duration
}

// settled is how long a caller looks for bytes that follow those it expects, and how long
// a server has to look at a piece before the next one is sent.
const settled = 10 * time.Millisecond

func never([]byte) bool { return false }

// Talk takes the steps of a stream on a connection, and closes it. If want is given, it
// ends as soon as the outcome can only be that, and waits for it up to the limit.
func (k Caller) Talk(ctx context.Context, c *net.TCPConn, s corpus.Stream, want *Outcome) Outcome {
	defer c.Close()
	_ = c.SetNoDelay(true)                          // an error would show in what follows
	_ = c.SetWriteDeadline(time.Now().Add(k.Limit)) // likewise
	in := listen(c)
	heard, ended := 0, false
	for _, step := range s.Steps() {
		switch {
		case step.Send != "":
			if _, err := c.Write([]byte(step.Send)); err == nil {
				arrived(ctx, k.Limit, c, in)
				pause := max(k.Pause, settled)
				in.wait(ctx, pause, pause, never)
			}
		case step.Await != "":
			in.wait(ctx, k.Limit, k.Limit, func(all []byte) bool {
				at := bytes.Index(all[heard:], []byte(step.Await))
				if at >= 0 {
					heard += at + len(step.Await)
				}
				return at >= 0
			})
		case step.End:
			_ = c.CloseWrite() // an error means that the server has closed
			ended = true
		}
	}
	k.hear(ctx, in, want)
	all, closed := in.state()
	o := Outcome{End: Closed, early: len(Mask(all))}
	switch {
	case closed && ended:
		o.End = ClosedAfter
	case !closed:
		if !ended {
			_ = c.CloseWrite() // likewise
		}
		quiet := k.Quiet
		if want != nil && want.End == ClosedAfter {
			quiet = k.Limit
		}
		in.wait(ctx, quiet, k.Limit, never)
		if o.End = Open; in.isClosed() {
			o.End = ClosedAfter
		}
	}
	all, _ = in.state()
	o.Answer = Mask(all)
	in.mu.Lock()
	defer in.mu.Unlock()
	o.reset = in.reset
	return o
}

// hear waits until the server has closed, has said what is wanted, or is quiet.
func (k Caller) hear(ctx context.Context, in *input, want *Outcome) {
	if want == nil {
		in.wait(ctx, k.Quiet, k.Limit, never)
		return
	}
	said := func(all []byte) bool {
		return want.End != Closed && len(all) >= want.early && Mask(all) == want.Answer[:want.early]
	}
	if in.wait(ctx, k.Limit, k.Limit, said) {
		in.wait(ctx, settled, settled, never)
	}
}

// input is what a connection has brought so far.
type input struct {
	changed chan struct{}

	mu     sync.Mutex
	all    []byte
	closed bool
	reset  bool
}

func listen(c net.Conn) *input {
	in := &input{changed: make(chan struct{}, 1)}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			in.mu.Lock()
			in.all = append(in.all, buf[:n]...)
			in.closed = err != nil
			in.reset = errors.Is(err, unix.ECONNRESET)
			in.mu.Unlock()
			select {
			case in.changed <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return in
}

func (in *input) state() ([]byte, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.all, in.closed
}

func (in *input) isClosed() bool {
	_, closed := in.state()
	return closed
}

// wait returns true once the condition holds, and false once the connection is closed,
// brings nothing for as long as quiet, or the limit is over.
func (in *input) wait(ctx context.Context, quiet, limit time.Duration, condition func([]byte) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	silence := time.NewTimer(quiet)
	defer silence.Stop()
	for {
		all, closed := in.state()
		if condition(all) {
			return true
		}
		if closed {
			return false
		}
		select {
		case <-in.changed:
			silence.Reset(quiet)
		case <-silence.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// arrived waits until the other end's kernel has all that was written, or takes no more.
func arrived(ctx context.Context, limit time.Duration, c *net.TCPConn, in *input) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil && !in.isClosed() {
		left := 0
		err := raw.Control(func(fd uintptr) {
			left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		})
		if err != nil || left == 0 {
			return
		}
		<-ticker.C
	}
}
