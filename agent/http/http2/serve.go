// Package http2 passes the requests of one HTTP/2 connection on, each to where it belongs,
// frame by frame.
package http2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	framing "golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// session is one caller's connection and its connections to targets.
type session struct {
	ctx context.Context
	sw  http.Switch
	log *slog.Logger
	wg  sync.WaitGroup

	question question // of the goroutine that reads from the caller

	mu     sync.Mutex // guards what follows, and the legs
	caller *leg
	legs   map[http.Target]*leg // that take new requests
	open   map[*leg]struct{}    // to targets, all of them
	told   told
	queued int // bytes in the queues of streams
	copied int // bytes in the queues of copies
	extra  int // what the windows of streams have beyond firstWindow
	weight int // of header fields that are kept
	dirty  []*leg
	free   []*exchange
	ended  bool // the caller's connection has
	cut    bool // the context has ended
}

// told is what the caller was told after the first SETTINGS.
type told struct {
	streams int
	connect bool
	retired bool
}

// Serve serves the requests of one caller's HTTP/2 connection, which begins with first,
// until it ends. The error is what ended it, and nil if the caller did. When ctx ends,
// Serve resets the connection and those to the targets. It has closed all of them when it
// returns.
func Serve(ctx context.Context, caller tunnel.Stream, first []byte, sw http.Switch, log *slog.Logger) error {
	defer caller.Close()
	in := newReader(caller, first)
	defer in.release()
	inside, cancel := context.WithCancel(ctx)
	s := &session{ctx: inside, sw: sw, log: log, legs: map[http.Target]*leg{}, open: map[*leg]struct{}{}}
	s.caller = s.newLeg(nil)
	s.caller.conn, s.caller.in = caller, in
	s.told.streams = maxRequests
	defer s.wg.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, s.reset)()

	for k := range len(framing.ClientPreface) {
		if in.need(k+1) != nil || in.b[k] != framing.ClientPreface[k] {
			return s.opaque(in.b)
		}
	}
	in.b = in.b[len(framing.ClientPreface):]
	s.mu.Lock()
	s.caller.greet()
	s.kick()
	s.mu.Unlock()
	err, lingers := s.finish(s.caller.read())
	if lingers {
		defer time.AfterFunc(linger, func() {
			cancel()
			s.reset()
		}).Stop()
		s.wg.Wait()
	}
	return err
}

// finish ends the session after what ended the caller's connection. Lingers says that copies
// of whole requests go on.
func (s *session) finish(err error) (_ error, lingers bool) {
	var f *fault
	faulty := errors.As(err, &f)
	s.mu.Lock()
	s.ended = true
	for l := range s.open { // the targets get what the caller has sent before
		l.drain()
		if !s.cut && l.outlives() {
			lingers = true
			continue
		}
		if l.conn != nil && !l.closing && !s.cut {
			l.conn.SetWriteDeadline(soon())
			l.closing = true
			l.touch()
		}
	}
	if faulty {
		s.caller.goAway(s.caller.lastID, f.code)
		s.caller.conn.SetWriteDeadline(soon())
		s.caller.closing = true
		s.caller.touch()
	} else {
		s.caller.closed = true
	}
	s.kick()
	s.mu.Unlock()
	switch {
	case faulty:
		// If bytes of the caller were unread at the close, it would not get the GOAWAY.
		s.caller.conn.SetReadDeadline(soon())
		io.Copy(io.Discard, s.caller.conn)
		return err, lingers
	case errors.Is(err, io.EOF):
		s.caller.conn.Close()
		return nil, lingers
	}
	s.caller.conn.Reset()
	return fmt.Errorf("read from the caller: %w", err), lingers
}

// reset drops all connections.
func (s *session) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
	s.caller.conn.Reset()
	for l := range s.open {
		if l.conn != nil {
			l.conn.Reset()
		}
	}
}

// opaque gives the application a connection that is not HTTP/2 after all.
func (s *session) opaque(first []byte) error {
	s.sw.Opaque("it does not begin with the preface of HTTP/2")
	to, err := s.sw.Application().Open(s.ctx, first)
	if err != nil {
		s.caller.conn.Reset()
		return fmt.Errorf("open a connection to the application: %w", err)
	}
	defer context.AfterFunc(s.ctx, to.Reset)()
	return tunnel.Pipe(s.caller.conn, to, nil)
}

func soon() time.Time { return time.Now().Add(lastWords) }
