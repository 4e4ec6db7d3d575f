package carrier

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// manager is the far end of a pool: it answers each Hello with what it is told.
type manager struct {
	t     *testing.T
	pipe  func(testing.TB) (near, far net.Conn) // nil: pair
	takes time.Duration                         // until it answers a Hello

	mu      sync.Mutex
	down    error
	refusal string
	dials   int
	conns   []net.Conn
}

func (m *manager) dial(context.Context) (net.Conn, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dials++
	if m.down != nil {
		return nil, "", m.down
	}
	pipe := m.pipe
	if pipe == nil {
		pipe = pair
	}
	near, far := pipe(m.t)
	m.conns = append(m.conns, far)
	refusal := m.refusal
	go func() {
		if _, err := handshake.ReadHello(far); err == nil {
			time.Sleep(m.takes)
			handshake.WriteWelcome(far, &handshake.Welcome{Refusal: refusal, Pod: "manager-0", Version: "1.2.3"})
		}
	}()
	return near, "fake", nil
}

// memoryPair is pair without sockets, which do not know simulated time.
func memoryPair(testing.TB) (near, far net.Conn) { return net.Pipe() }

// set changes what the manager does, and drops its connections.
func (m *manager) set(down error, refusal string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down, m.refusal = down, refusal
	for _, c := range m.conns {
		c.Close()
	}
	m.conns = nil
}

func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
		runtime.Gosched()
	}
}

func startPool(t *testing.T, m *manager) *Pool {
	p := NewPool(Config{Size: 3, Dial: m.dial, Hello: handshake.Hello{Session: "s"}, Log: slog.New(slog.DiscardHandler),
		Serve: func(ctx context.Context, c net.Conn) error {
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			io.Copy(io.Discard, c)
			return c.Close()
		}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

// The time is simulated: an outage ends, and the carriers are back within the
// longest pause early in an outage.
func TestPoolComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{t: t, pipe: memoryPair, takes: time.Millisecond}
		p := startPool(t, m)
		time.Sleep(m.takes)
		synctest.Wait()
		if s := p.State(); s.Carriers != 3 || s.Transport != "fake" || s.Relay != "manager-0" || s.ManagerVersion != "1.2.3" || s.RTT != m.takes || s.Err != nil {
			t.Fatalf("state %+v", s)
		}
		m.set(errors.New("connection refused"), "")
		synctest.Wait()
		if s := p.State(); s.Carriers != 0 || s.Err == nil || s.Err.Error() != "connection refused" {
			t.Fatalf("state %+v in an outage", s)
		}
		time.Sleep(earlyFor / 2) // the pauses are as long as they get by then
		m.set(nil, "")
		time.Sleep(earlyPause*12/10 + m.takes)
		synctest.Wait()
		if n := p.State().Carriers; n != 3 {
			t.Fatalf("%d carriers after the outage", n)
		}
	})
}

func TestPoolSaysWhyItIsRefused(t *testing.T) {
	m := &manager{t: t, refusal: "unknown session"}
	p := startPool(t, m)
	var refused *RefusedError
	wait(t, "the refusal", func() bool { return errors.As(p.State().Err, &refused) })
	if refused.Reason != "unknown session" {
		t.Fatalf("refused because of %q", refused.Reason)
	}
}

func TestPoolRenewsAfterSleep(t *testing.T) {
	m := &manager{t: t}
	p := startPool(t, m)
	wait(t, "carriers", func() bool { return p.State().Carriers == 3 })
	p.Woke(slept) // a nap: the carriers stay
	p.Woke(time.Hour)
	wait(t, "new carriers", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.dials >= 6
	})
	wait(t, "carriers", func() bool { return p.State().Carriers == 3 })
}
