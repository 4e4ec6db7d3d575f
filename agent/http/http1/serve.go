// Package http1 serves the HTTP/1 connections of callers (RFC 9110, RFC 9112): it brings
// each request to the target that is decided for it, and the responses back in order.
//
// A goroutine reads the requests. Each stream to a target has a goroutine that reads the
// responses and writes each when it is its turn. A stream is kept for the next request to
// its target. The bytes are those of the caller and of the targets; only the Mark of a
// target is added, to the heads of its final responses and to a 101.
//
// The rest of a connection belongs to one target where there are no more requests to tell
// apart:
//   - after a 101 or a response to CONNECT that opens a tunnel, to the target that sent it:
//     what comes by HTTP/2 after "Upgrade: h2c" stays with that target;
//   - after a head that programs may read differently, to the application;
//   - after such a chunk, to the target that has the beginning of the request;
//   - after a last response, or one that programs may read differently, to the target that
//     sent it. What the caller still sends reaches the application, but no laptop.
//
// While a request waits for its switch of protocols, nothing behind it is read. If the
// application ends the stream that has had the last request, the connection of the caller
// ends, as it would without the agent. An idle stream to a laptop that ends is replaced
// when the next request comes. If it ends just then, without a byte of a response, an
// idempotent request that was sent whole is sent once more on a new stream.
//
// A head that is not complete after a minute goes to the application, with all that follows.
package http1

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/mirror"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

const (
	// minSplice is how much of a body, in bytes, must be left for the kernel to move it: less
	// is copied faster. A body of 1 MiB is moved, although its beginning came with the head.
	minSplice = 1<<20 - 128<<10
	// linger is how long a peer may take to end its direction, once ours has ended. To
	// close at once could cost it what we have sent last.
	linger = 5 * time.Second
	// headWait is how long the head of a request may take, from its first byte on. Then the
	// application gets what there is, and is as patient as it is without the agent.
	headWait = time.Minute
)

// conn is the connection of one caller.
type conn struct {
	order

	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	outer  context.Context // that of Serve
	to     http.Switch
	log    *slog.Logger
	caller tunnel.Stream

	// The goroutine that reads the requests has these.
	in      input
	slowest time.Duration // that a head may be
	bounded bool          // reads have a deadline for the head
	head    http.Head
	request match.Request
	batch   []exchange       // of the requests that leave in one write
	ahead   asked            // the request behind the batch
	isAhead bool             // there is one
	counted int              // so many of the next requests have been decided about before
	careful bool             // the last request may switch protocols
	mirrors []mirrored       // all of the connection
	copies  []*mirror.Mirror // those of the request that is being sent, until all of it was

	lives sync.WaitGroup
}

// Serve serves the requests of one caller's connection until it ends. First was read from
// the caller before. The caller gets the responses in the order of its requests. When ctx
// ends, Serve resets all. It closes all streams before it returns. The error is nil if the
// connection ended well.
func Serve(ctx context.Context, caller tunnel.Stream, first []byte, s http.Switch, log *slog.Logger) error {
	return serve(ctx, caller, first, s, log, headWait)
}

func serve(outer context.Context, caller tunnel.Stream, first []byte, s http.Switch, log *slog.Logger, slowest time.Duration) error {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	c := &conn{ctx: ctx, cancel: cancel, outer: outer, to: s, log: log, caller: caller, slowest: slowest}
	c.changed.L = &c.mu
	if err := c.in.open(caller, first); err != nil {
		caller.Reset()
		return err
	}
	defer context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })()
	if err := c.requests(); err != nil {
		c.fail(err)
	} else {
		c.finish()
	}
	c.closeAll()
	return c.err
}

// requests reads the requests until the caller sends no more.
func (c *conn) requests() error {
	for {
		if err := c.in.wait(); err != nil {
			return c.callerEnded(err)
		}
		c.reads(true)
		if c.careful {
			c.settle()
			c.careful = false
		}
		if f, takes := c.theRest(); f != nil {
			return c.passOn(f, takes)
		}
		if more, err := c.serve(); !more {
			return err
		}
	}
}

// boundHead bounds how long the caller may take for the head that has begun.
func (c *conn) boundHead() {
	if !c.bounded {
		c.bounded = c.readDeadline(c.caller, time.Now().Add(c.slowest))
	}
}

// unboundHead ends boundHead, and says whether it was in force.
func (c *conn) unboundHead() bool {
	bounded := c.bounded && c.readDeadline(c.caller, time.Time{})
	c.bounded = false
	return bounded
}

// opaque counts that the rest of the connection passes unread.
func (c *conn) opaque(reason string) {
	c.log.Debug("an HTTP connection passes unread from here on", "reason", reason)
	c.to.Opaque(reason)
}

// callerEnded is for the end of what the caller sends.
func (c *conn) callerEnded(err error) error {
	c.reads(false)
	streams, ended := c.streams()
	switch {
	case ended:
		return nil // however it ends, the caller has had all
	case !errors.Is(err, io.EOF):
		return err
	}
	for _, s := range streams {
		tunnel.CloseWrite(s) // if it fails, its reader sees why
	}
	return nil
}

// passOn passes the rest of what the caller sends to f, unread, or drops it if f does not
// take it.
func (c *conn) passOn(f *far, takes bool) error {
	for takes {
		if b := c.in.bytes(); len(b) > 0 {
			if err := f.send(b); err != nil {
				break
			}
			c.in.skip(len(b))
			continue
		}
		if c.in.tcp != nil && f.in.tcp != nil {
			c.in.release()
			return c.spliced(tunnel.Splice(f.stream, c.caller, f.movedIn))
		}
		if err := c.in.fill(); err != nil {
			return c.callerEnded(err)
		}
	}
	return c.drop()
}

// spliced is for the end of what the kernel moved of the caller's bytes.
func (c *conn) spliced(err error) error {
	var write *tunnel.WriteError
	switch {
	case err == nil, errors.Is(err, io.ErrUnexpectedEOF):
		return c.callerEnded(io.EOF)
	case errors.As(err, &write): // the far end does not take it
		return c.drop()
	}
	return c.callerEnded(err)
}

// drop drops what the caller sends until its end.
func (c *conn) drop() error {
	if !c.drain() {
		c.caller.SetReadDeadline(time.Now().Add(linger))
	}
	for {
		c.in.skip(len(c.in.bytes()))
		if err := c.in.wait(); err != nil {
			return c.callerEnded(err)
		}
	}
}

// closeWrite says to the caller that nothing more comes.
func (c *conn) closeWrite() error {
	err := tunnel.CloseWrite(c.caller)
	if c.end() { // before the deadline, which readDeadline leaves alone then
		return err
	}
	until := time.Now().Add(linger)
	c.caller.SetReadDeadline(until)
	c.boundWrites(until)
	return err
}

// fail resets everything.
func (c *conn) fail(err error) {
	c.close(err)
	c.cancel()
	c.caller.Reset()
	streams, _ := c.streams()
	for _, s := range streams {
		s.Reset()
	}
}

// closeAll closes everything, once the streams have ended.
func (c *conn) closeAll() {
	well := c.close(nil)
	streams, _ := c.streams()
	if well {
		c.caller.Close()
		for _, s := range streams {
			tunnel.CloseWrite(s)
			s.SetReadDeadline(time.Now().Add(linger))
		}
	}
	for _, m := range c.copies { // of a request that has not come to its end
		m.Drop(http.ErrCut)
	}
	for _, m := range c.mirrors {
		m.Close()
	}
	c.lives.Wait()
	for _, m := range c.mirrors {
		m.Wait()
	}
	for _, s := range streams {
		closeStream(s)
	}
	c.in.close()
}

// closeStream closes a stream to a target. What is below it may serve another flow then.
func closeStream(s tunnel.Stream) {
	s.SetReadDeadline(time.Time{})
	s.SetWriteDeadline(time.Time{})
	s.Close()
}
