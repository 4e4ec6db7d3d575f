package carrier

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

const (
	// spareLines are offered at any time, linesMax bounds all: each is a
	// connection to the API server, of which outboundMax bounds those that this
	// side opens flows on. Flows beyond travel on carriers.
	spareLines  = 4
	linesMax    = 64
	outboundMax = 64
)

// LinesConfig is what Lines need.
type LinesConfig struct {
	// Dial returns an upgraded connection: NewLineProxy's.
	Dial func(context.Context) (net.Conn, error)
	// Up says whether there are carriers on the way that lines take.
	Up func() bool
	// Keys, Session and Generation are those of the carriers' Hello.
	Keys       *handshake.Keys
	Session    string
	Generation uint64
	Handler    tunnel.Handler
	Log        *slog.Logger
}

// Lines offers lines to the relay, a few more than are in use. It is safe for
// concurrent use.
type Lines struct {
	cfg    LinesConfig
	server *line.Server

	signals
	outbound chan struct{} // a turn for each outbound line

	mu     sync.Mutex
	joined int
}

// NewLines returns Lines that are not running yet.
func NewLines(cfg LinesConfig) (*Lines, error) {
	s, err := line.NewServer(cfg.Keys)
	if err != nil {
		return nil, err
	}
	return &Lines{cfg: cfg, server: s, signals: newSignals(), outbound: make(chan struct{}, outboundMax)}, nil
}

// Joined is the number of lines that agents have.
func (l *Lines) Joined() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joined
}

// Run offers lines until ctx ends, then waits until all are gone.
func (l *Lines) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	total, spare := make(chan struct{}, linesMax), make(chan struct{}, spareLines)
	failures := make(chan error, linesMax)
	var pause backoff
	for ctx.Err() == nil {
		wake := l.pause()
		if !l.cfg.Up() {
			await(ctx, wake, maxPause)
			continue
		}
		select {
		case err := <-failures:
			rest, level := pause.next(time.Now()), slog.LevelDebug
			if IsNotPossible(err) {
				rest, level = ForgetAfter, slog.LevelInfo
			}
			l.cfg.Log.Log(ctx, level, "line is not offered, flows travel on carriers", "error", err)
			await(ctx, wake, rest)
			for len(failures) > 0 { // of the same moment
				<-failures
			}
			continue
		default:
		}
		if !acquire(ctx, total) {
			return
		}
		if !acquire(ctx, spare) {
			return
		}
		wg.Go(func() {
			var once sync.Once
			taken := func() { once.Do(func() { <-spare }) }
			err := l.one(ctx, func() { pause.reset(); taken() })
			taken()
			<-total
			if err != nil && ctx.Err() == nil {
				failures <- err
			}
		})
	}
}

func acquire(ctx context.Context, turns chan struct{}) bool {
	select {
	case turns <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func await(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// one offers a line and serves it. Joined is called when an agent has it; an
// error is of what was before.
func (l *Lines) one(ctx context.Context, joined func()) error {
	ctx, cancel := l.untilDropped(ctx)
	defer cancel()
	dctx, dialled := context.WithTimeout(ctx, attemptTimeout)
	conn, err := l.cfg.Dial(dctx)
	dialled()
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	j, err := l.offer(conn, handshake.Inbound)
	if err != nil {
		return err
	}
	joined()
	f, err := l.server.Accept(ctx, conn, j)
	if err != nil {
		l.cfg.Log.Warn("line is not used", "error", err)
		return nil
	}
	l.count(1)
	defer l.count(-1)
	l.cfg.Log.Debug("line is up", "pod", j.Pod, "intercept", j.Intercept)
	line.Serve(ctx, f, j.OfIntercept, l.cfg.Handler)
	return nil
}

func (l *Lines) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joined += n
}

// DialOutbound returns a line to the relay, on which this side opens flows. It
// waits until there are fewer than outboundMax.
func (l *Lines) DialOutbound(ctx context.Context) (tunnel.Stream, error) {
	if !acquire(ctx, l.outbound) {
		return nil, ctx.Err()
	}
	below, err := l.cfg.Dial(ctx)
	if err != nil {
		<-l.outbound
		return nil, err
	}
	conn := &turnConn{Conn: below, turns: l.outbound}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	j, err := l.offer(conn, handshake.Outbound)
	if err != nil {
		conn.Close()
		return nil, err
	}
	f, err := l.server.Accept(ctx, conn, j)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return f, nil
}

// turnConn gives a turn back when it is closed.
type turnConn struct {
	net.Conn
	turns <-chan struct{}
	once  sync.Once
}

// Close implements net.Conn.
func (c *turnConn) Close() error {
	c.once.Do(func() { <-c.turns })
	return c.Conn.Close()
}

// Trim passes on what the RecordConn above does.
func (c *turnConn) Trim() {
	if t, ok := c.Conn.(interface{ Trim() }); ok {
		t.Trim()
	}
}

// offer waits until an agent has the line. The relay gives a sign of life
// every ten seconds.
func (l *Lines) offer(conn net.Conn, d handshake.Direction) (*handshake.LineAssigned, error) {
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	h := handshake.NewLineHello(l.cfg.Keys, l.cfg.Session, l.cfg.Generation, d)
	if err := handshake.WriteLineHello(conn, h); err != nil {
		return nil, fmt.Errorf("offer a line: %w", err)
	}
	w, err := handshake.ReadWelcome(conn)
	if err != nil {
		return nil, fmt.Errorf("offer a line: %w", err)
	}
	if w.Refusal != "" {
		return nil, &RefusedError{w.Refusal}
	}
	alive := func() { conn.SetDeadline(time.Now().Add(silence)) }
	alive()
	j, err := handshake.ReadLineAssigned(conn, l.cfg.Keys, h, alive)
	if err != nil {
		return nil, fmt.Errorf("wait for an agent: %w", err)
	}
	conn.SetDeadline(time.Time{})
	return j, nil
}
