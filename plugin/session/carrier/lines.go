package carrier

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

const (
	// Each line is a connection to the API server, so their number is bounded; flows
	// for which there is no line travel on carriers. A session offers idleLines at
	// any time, and linesMax bounds the idle and the assigned ones. OutboundMax bounds
	// the lines on which the session opens flows to the relay. PodsMax are the lines on
	// which it opens flows into pods, and which do not count for linesMax.
	idleLines   = 4
	linesMax    = 64
	outboundMax = 64
	podsMax     = 128
)

// LinesConfig is what Lines need.
type LinesConfig struct {
	// Dial returns an upgraded connection: NewLineProxy's.
	Dial func(context.Context) (net.Conn, error)
	// Up says whether there are carriers by the transport that lines use.
	Up func() bool
	// Identity is the session's. Hello is that of the carriers.
	Identity *handshake.Identity
	Hello    handshake.Hello
	Handler  tunnel.Handler
	// FromSession gets the lines on which the session opens flows into a pod. It owns
	// them.
	FromSession func(*handshake.LineAssigned, *line.Conn)
	Log         *slog.Logger
}

// Lines offers lines to the relay, a few more than are assigned. It is safe for
// concurrent use.
type Lines struct {
	cfg    LinesConfig
	server *line.Server

	signals
	outbound chan struct{} // an element for each outbound line
	pods     chan struct{} // and for each that leads into a pod

	mu       sync.Mutex
	assigned int
	idle     map[net.Conn]func() // lines that no agent has, and what closes them
}

// NewLines returns Lines that are not running yet.
func NewLines(cfg LinesConfig) (*Lines, error) {
	s, err := line.NewServer(cfg.Identity)
	if err != nil {
		return nil, err
	}
	return &Lines{cfg: cfg, server: s, signals: newSignals(), outbound: make(chan struct{}, outboundMax), pods: make(chan struct{}, podsMax), idle: map[net.Conn]func(){}}, nil
}

// Assigned is the number of lines that are assigned to agents.
func (l *Lines) Assigned() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.assigned
}

// Run offers lines until ctx ends, and then waits until all have ended.
func (l *Lines) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	total, idle := make(chan struct{}, linesMax), make(chan struct{}, idleLines)
	failures := make(chan error, linesMax)
	var pause backoff
	var worked atomic.Bool // since the last failure
	for ctx.Err() == nil {
		wake := l.pause()
		if !l.cfg.Up() {
			await(ctx, wake, maxPause)
			continue
		}
		select {
		case err := <-failures:
			if worked.Swap(false) {
				pause.reset()
			}
			rest, level := pause.next(time.Now()), slog.LevelDebug
			if IsNotPossible(err) {
				rest, level = ForgetAfter, slog.LevelInfo
			}
			l.cfg.Log.Log(ctx, level, "line is not offered, flows travel on carriers", "error", err)
			await(ctx, wake, rest)
			for len(failures) > 0 { // lines that failed at the same time
				<-failures
			}
			continue
		default:
		}
		if !acquire(ctx, total) {
			return
		}
		if !acquire(ctx, idle) {
			return
		}
		wg.Go(func() {
			notIdle, uncounted := sync.OnceFunc(func() { <-idle }), sync.OnceFunc(func() { <-total })
			err := l.one(ctx, func() { worked.Store(true); notIdle() }, uncounted)
			notIdle()
			uncounted()
			if err != nil && ctx.Err() == nil {
				failures <- err
			}
		})
	}
}

// acquire takes a slot, or returns false when ctx ends.
func acquire(ctx context.Context, slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
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

// one offers a line and serves it. It calls assigned when an agent has the line, and
// returns the error that came before that, if any. It calls uncounted if the line does not
// count for linesMax.
func (l *Lines) one(ctx context.Context, assigned, uncounted func()) error {
	ctx, cancel := l.untilDropped(ctx)
	defer cancel()
	dialCtx, cancelDial := context.WithTimeout(ctx, attemptTimeout)
	below, err := l.cfg.Dial(dialCtx)
	cancelDial()
	if err != nil {
		return err
	}
	closed := make(chan struct{})
	conn := &closingConn{Conn: below, closed: func() { close(closed) }}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	l.keep(below, func() { conn.Close() })
	j, err := l.offer(conn, handshake.Inbound)
	l.keep(below, nil)
	if err != nil {
		return err
	}
	assigned()
	f, err := l.server.Accept(ctx, conn.below(), j)
	if err != nil {
		l.cfg.Log.Warn("line is not used", "error", err)
		return nil
	}
	l.count(1)
	defer l.count(-1)
	l.cfg.Log.Debug("line is up", "pod", j.Pod, "intercept", j.Intercept, "fromSession", j.FromSession)
	if j.FromSession {
		select {
		case l.pods <- struct{}{}:
			defer func() { <-l.pods }()
			uncounted()
		default:
		}
		l.cfg.FromSession(j, f)
		<-closed
		return nil
	}
	line.Serve(ctx, f, j.OfIntercept, l.cfg.Handler)
	return nil
}

// keep notes an idle line, or that a line is not idle any more.
func (l *Lines) keep(c net.Conn, close func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if close == nil {
		delete(l.idle, c)
	} else {
		l.idle[c] = close
	}
}

// Move closes the idle lines for which outdated is true. Others take their place, by a better
// transport.
func (l *Lines) Move(outdated func(net.Conn) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, close := range l.idle {
		if outdated(c) {
			close()
		}
	}
}

func (l *Lines) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.assigned += n
}

// DialOutbound returns a line to the relay, on which the session opens flows. It waits
// while there are outboundMax of them.
func (l *Lines) DialOutbound(ctx context.Context) (tunnel.Stream, error) {
	if !acquire(ctx, l.outbound) {
		return nil, ctx.Err()
	}
	below, err := l.cfg.Dial(ctx)
	if err != nil {
		<-l.outbound
		return nil, err
	}
	conn := &closingConn{Conn: below, closed: func() { <-l.outbound }}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	j, err := l.offer(conn, handshake.Outbound)
	if err != nil {
		conn.Close()
		return nil, err
	}
	f, err := l.server.Accept(ctx, conn.below(), j)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return f, nil
}

// closingConn is a connection that calls a function when it is closed.
type closingConn struct {
	net.Conn
	closed func()
	once   sync.Once
}

// Close implements net.Conn.
func (c *closingConn) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}

// below is where agent and session speak with each other: the connection itself, or what is
// below the TLS of a direct one.
func (c *closingConn) below() net.Conn {
	if o, ok := c.Conn.(*handshake.Offer); ok {
		return o.Below(c.Close)
	}
	return c
}

// Trim releases buffers; see record.Conn.
func (c *closingConn) Trim() {
	if t, ok := c.Conn.(interface{ Trim() }); ok {
		t.Trim()
	}
}

// offer offers a line and waits until an agent has it. The relay writes to an idle
// line every ten seconds.
func (l *Lines) offer(conn net.Conn, d handshake.Direction) (*handshake.LineAssigned, error) {
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	h := handshake.NewLineHello(&l.cfg.Hello.Secret, l.cfg.Hello.Session, l.cfg.Hello.Generation, d)
	if err := handshake.WriteLineHello(conn, h); err != nil {
		return nil, fmt.Errorf("offer a line: %w", err)
	}
	w, err := handshake.ReadWelcome(conn)
	if err != nil {
		return nil, fmt.Errorf("offer a line: %w", err)
	}
	if w.Refusal != "" {
		return nil, &RefusedError{Reason: w.Refusal}
	}
	alive := func() { conn.SetDeadline(time.Now().Add(silence)) }
	alive()
	j, err := handshake.ReadLineAssigned(conn, &l.cfg.Hello.Secret, h, alive)
	if err != nil {
		return nil, fmt.Errorf("wait for an agent: %w", err)
	}
	conn.SetDeadline(time.Time{})
	return j, nil
}
