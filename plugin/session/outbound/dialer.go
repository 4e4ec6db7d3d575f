// Package outbound opens flows from the laptop to Services and pods, on the session's
// outbound lines and carriers.
package outbound

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/warm"
)

// Conn is an open flow. Exactly one of its methods must be called, once.
type Conn interface {
	// Join moves bytes between the flow and s until both directions have
	// ended, and closes both.
	Join(s tunnel.Stream, count tunnel.Count) error
	// Abort drops the flow.
	Abort()
}

// Dialer opens flows. It is safe for concurrent use.
type Dialer struct {
	Session string
	// Lines are taken first; nil if there are none.
	Lines *warm.Pool
	// Group holds the outbound carriers, for flows that find no line.
	Group *mux.Group
	// Gate says whether the cluster can be reached; nil is always open.
	Gate *Gate
	// Denials remembers what was denied; may be nil.
	Denials *Denials
	// Pod opens all flows from a pod, in place of Lines and Group; nil: from the
	// traffic-manager.
	Pod Opener

	rtt   atomic.Int64 // nanoseconds
	lines atomic.Int64 // in use
}

// Opener opens flows of the kind frame.Network, by their protocol, target and first bytes.
type Opener interface {
	// Open returns a stream when the target is reached. The error is as Dialer.Open's.
	Open(ctx context.Context, p frame.Protocol, target string, first []byte) (tunnel.Stream, error)
}

// linesMax bounds the lines in use: each is a connection to the API server with large
// buffers. Further flows take carriers.
const linesMax = 64

// RTT is what the fastest dials take of late; 0 before the first.
func (d *Dialer) RTT() time.Duration { return time.Duration(d.rtt.Load()) }

// note updates RTT with a dial. Something delays most dials, so a fast one counts in
// full and a slow one a little.
func (d *Dialer) note(took time.Duration) {
	if last := d.RTT(); last != 0 && took > last {
		took = last + (took-last)/16
	}
	d.rtt.Store(int64(took))
}

// maxStale is how many broken lines a flow tries before it takes a carrier.
const maxStale = 4

// Open has the cluster dial target: "address:port" (ICMP: "address") or
// frame.TargetDNS. First travels with the open. The error is the cluster's answer
// (see frame.Answered): frame.ErrRefused, ErrDenied, ErrTimedOut or
// ErrUnreachable; or the reason why the cluster was not asked, such as ErrAway and
// mux.ErrNoCarrier.
func (d *Dialer) Open(ctx context.Context, p frame.Protocol, target string, first []byte) (Conn, error) {
	begin := time.Now()
	c, err := d.open(ctx, p, target, first)
	if err == nil || errors.Is(err, frame.ErrRefused) {
		d.note(time.Since(begin))
	}
	if errors.Is(err, frame.ErrDenied) {
		d.Denials.Note(target, err, time.Now())
	}
	return c, err
}

func (d *Dialer) open(ctx context.Context, p frame.Protocol, target string, first []byte) (Conn, error) {
	ctx, end, err := d.Gate.Pass(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	ask := d.ask
	if d.Pod != nil {
		ask = d.askPod
	}
	c, err := ask(ctx, p, target, first)
	if err != nil && context.Cause(ctx) == ErrAway {
		err = ErrAway
	}
	return c, err
}

func (d *Dialer) ask(ctx context.Context, p frame.Protocol, target string, first []byte) (Conn, error) {
	open := &frame.Open{Kind: frame.Dialed, Session: d.Session, Protocol: p, Target: target, First: first}
	for range maxStale {
		if d.Lines == nil || d.lines.Load() >= linesMax {
			break
		}
		s := d.Lines.Get()
		if s == nil {
			break
		}
		c, err := d.onLine(ctx, s, open)
		if err == nil || frame.Answered(err) || ctx.Err() != nil {
			return c, err
		} // else the line was broken
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := d.Group.Open(context.WithoutCancel(ctx), open) // the flow outlives the dial
	if err != nil {
		return nil, err
	}
	confirmed := make(chan error, 1)
	go func() { confirmed <- f.Confirm() }()
	select {
	case err = <-confirmed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		f.Abort()
		return nil, err
	}
	return f, nil
}

func (d *Dialer) askPod(ctx context.Context, p frame.Protocol, target string, first []byte) (Conn, error) {
	s, err := d.Pod.Open(ctx, p, target, first)
	if err != nil {
		return nil, err
	}
	d.lines.Add(1)
	return &lineConn{s: s, lines: &d.lines}, nil
}

func (d *Dialer) onLine(ctx context.Context, s tunnel.Stream, o *frame.Open) (Conn, error) {
	v, reason, err := line.Ask(ctx, s, o)
	if err != nil {
		s.Reset()
		return nil, err
	}
	if f, ok := s.(*line.Conn); ok {
		f.OnIdle(func(s tunnel.Stream) {
			if !d.Lines.Put(s) {
				s.Close()
			}
		})
		if v != frame.Accepted {
			f.Refused()
		}
	}
	if v == frame.Accepted {
		d.lines.Add(1)
		return &lineConn{s: s, lines: &d.lines}, nil
	}
	s.Close()
	return nil, v.Err(reason)
}

// lineConn is a flow on a line. The line counts as in use until the flow ends.
type lineConn struct {
	s     tunnel.Stream
	lines *atomic.Int64
}

func (c *lineConn) Join(s tunnel.Stream, count tunnel.Count) error {
	defer c.lines.Add(-1)
	return tunnel.Pipe(c.s, s, count)
}

func (c *lineConn) Abort() {
	defer c.lines.Add(-1)
	c.s.Reset()
}
