package mirror

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// Answers tells the answers on one connection to a laptop apart, so that a Mirror knows
// which messages are lost when the laptop's program ends the connection. Its methods may be
// called concurrently.
type Answers interface {
	// Asked is called with the first bytes of a message before they are sent.
	Asked(first []byte)
	// Read reads until the stream ends. It calls answered after each answer; last says that
	// the program takes no more messages on the stream. The error is ErrUntold if the answers
	// cannot be told apart; the rest of the stream is not read then.
	Read(s tunnel.Stream, answered func(last bool)) error
}

// ErrUntold says that answers cannot be told apart.
var ErrUntold = errors.New("the answers cannot be told apart")

// sink is a stream for copies. It throws away what comes back.
type sink struct {
	tunnel.Stream
	// stop ends the watch that resets the stream with the mirror, which also ends a write
	// that the laptop does not take.
	stop    func() bool
	answers Answers // nil if nothing tells them apart

	mu      sync.Mutex
	changed sync.Cond // something below has changed
	open    int       // messages that are not answered, as far as is known
	untold  bool      // nothing is known
	spoke   bool      // the program has answered a message
	last    bool      // the program takes no more messages
	ended   bool
}

func (m *Mirror) newSink(stream tunnel.Stream) *sink {
	s := &sink{Stream: stream, stop: context.AfterFunc(m.ctx, stream.Reset), untold: true}
	s.changed.L = &s.mu
	if m.answers != nil {
		s.answers, s.untold = m.answers(), false
	}
	return s
}

// run reads until the stream ends. A program that ends it in order without an answer may be
// one that answers nothing: it is not known whether it has taken the messages.
func (s *sink) run() {
	if s.answers != nil {
		err := s.answers.Read(s.Stream, s.answered)
		s.change(func() { s.untold = errors.Is(err, ErrUntold) || errors.Is(err, io.EOF) && !s.spoke })
	}
	io.Copy(io.Discard, s.Stream)
	s.change(func() { s.ended = true })
}

func (s *sink) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.changed.Broadcast()
}

// asked counts a message before its first bytes are sent.
func (s *sink) asked(first []byte) {
	s.change(func() { s.open++ })
	if s.answers != nil {
		s.answers.Asked(first)
	}
}

func (s *sink) answered(last bool) {
	s.change(func() { s.open, s.spoke, s.last = s.open-1, true, last })
}

// settle waits until all messages are answered, as far as is known, or the stream ends.
func (s *sink) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.open > 0 && !s.untold && !s.ended {
		s.changed.Wait()
	}
}

// wait waits until the stream has ended.
func (s *sink) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended {
		s.changed.Wait()
	}
}

// lost is how many messages would be lost with the stream, as far as is known.
func (s *sink) lost() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.untold {
		return 0
	}
	return s.open
}

// state says whether the program takes no more messages, and whether the stream has ended.
func (s *sink) state() (last, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.ended
}

// drop resets the stream.
func (s *sink) drop() {
	s.stop()
	s.Reset()
}

// close closes a stream that has ended. What is below it may serve another flow then.
func (s *sink) close() {
	s.stop()
	s.SetReadDeadline(time.Time{})
	s.Close()
}
