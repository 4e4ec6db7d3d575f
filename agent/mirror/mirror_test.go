package mirror_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/mirror"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// laptop is a Copier whose program takes nothing beyond what its opening brings, until it
// is let.
type laptop struct {
	stream          stuck
	gone            chan struct{}
	full            atomic.Bool
	arrived, missed atomic.Int64
	waiting         atomic.Int64
	why             error
}

func newLaptop(t *testing.T) (l *laptop, program net.Conn) {
	near, far := tunneltest.Pair(t)
	s := stuck{Stream: tunnel.NewTCP(near), writing: make(chan struct{}, 1000), take: make(chan struct{}), broken: make(chan struct{}), ended: make(chan struct{})}
	s.once = new(sync.Once)
	return &laptop{stream: s, gone: make(chan struct{})}, far
}

func (l *laptop) Open(_ context.Context, first []byte) (tunnel.Stream, error) {
	_, err := l.stream.Stream.Write(first)
	return l.stream, err
}

func (l *laptop) Arrived() { l.arrived.Add(1) }
func (l *laptop) Missed(why error) http.Decision {
	l.why = why
	l.missed.Add(1)
	return http.Decision{}
}
func (l *laptop) Moved(int, int)        {}
func (l *laptop) Gone() <-chan struct{} { return l.gone }
func (l *laptop) Mark() http.Field      { return http.Field{} }
func (l *laptop) Waits(n int)           { l.waiting.Add(int64(n)) }
func (l *laptop) Full() bool            { return l.full.Load() }

// stuck is a stream whose writes wait until the program takes something, or a reset.
type stuck struct {
	tunnel.Stream
	writing      chan struct{} // a write has begun
	take, broken chan struct{}
	once         *sync.Once
	ended        chan struct{} // the program has ended its direction, and this is known
}

func (s stuck) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if err != nil {
		close(s.ended)
	}
	return n, err
}

func (s stuck) Write(p []byte) (int, error) {
	s.writing <- struct{}{}
	select {
	case <-s.take:
		return s.Stream.Write(p)
	case <-s.broken:
		return 0, net.ErrClosed
	}
}

func (s stuck) Reset() {
	s.once.Do(func() { close(s.broken) })
	s.Stream.Reset()
}

// A laptop that takes nothing holds neither what is copied nor the end of it, however that
// comes about.
func TestLaptopThatTakesNothing(t *testing.T) {
	for name, end := range map[string]func(*mirror.Mirror, *laptop, context.CancelFunc){
		"the intercept ends":             func(_ *mirror.Mirror, l *laptop, _ context.CancelFunc) { close(l.gone) },
		"the agent ends":                 func(_ *mirror.Mirror, _ *laptop, cancel context.CancelFunc) { cancel() },
		"the caller breaks off":          func(m *mirror.Mirror, _ *laptop, _ context.CancelFunc) { m.Cut() },
		"the caller ends, without space": func(m *mirror.Mirror, l *laptop, _ context.CancelFunc) { l.full.Store(true); m.Close() },
		"it ends while some time is left": func(m *mirror.Mirror, l *laptop, _ context.CancelFunc) {
			m.Close()
			close(l.gone)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLaptop(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			m := mirror.New(ctx, l, nil)
			m.Begin([]byte("a"))
			m.Add([]byte("b"))
			<-l.stream.writing
			for l.missed.Load() == 0 {
				m.Add(make([]byte, 10_000))
			}
			if l.why != http.ErrSlow {
				t.Errorf("dropped: %v", l.why)
			}
			for range 1000 {
				m.Begin(make([]byte, 1000))
			}
			if n := l.waiting.Load(); n > 256<<10 {
				t.Errorf("%d bytes wait", n)
			}
			end(m, l, cancel)
			m.Wait()
			arrived := l.arrived.Load()
			m.Begin([]byte("too late"))
			m.Close()
			if n := l.arrived.Load() - arrived; n != 0 {
				t.Errorf("%d copies after the end", n)
			}
			if n := l.waiting.Load(); n != 0 {
				t.Errorf("%d bytes wait", n)
			}
		})
	}
}

// A program that ends its own direction, and takes nothing, holds nothing either.
func TestProgramThatHasEnded(t *testing.T) {
	l, program := newLaptop(t)
	m := mirror.New(t.Context(), l, nil)
	m.Begin([]byte("a"))
	m.Add([]byte("b"))
	<-l.stream.writing
	program.(*net.TCPConn).CloseWrite()
	<-l.stream.ended
	close(l.gone)
	m.Wait()
	if n := l.waiting.Load(); n != 0 {
		t.Errorf("%d bytes wait", n)
	}
}

// Messages arrive whole and in order, also those that wait when the caller ends, and
// nothing waits afterwards.
func TestEndOfCaller(t *testing.T) {
	l, program := newLaptop(t)
	close(l.stream.take)
	m := mirror.New(t.Context(), l, nil)
	var want []byte
	for k := range 100 {
		message := bytes.Repeat([]byte{byte(k)}, k+1)
		m.Begin(message[:1])
		m.Add(message[1:])
		want = append(want, message...)
	}
	m.Close()
	got, err := io.ReadAll(program)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(want))
	}
	program.Close()
	m.Wait()
	if l.waiting.Load() != 0 || l.missed.Load() != 0 || l.arrived.Load() != 100 {
		t.Errorf("%d bytes wait, %d were missed of %d", l.waiting.Load(), l.missed.Load(), l.arrived.Load())
	}
}
