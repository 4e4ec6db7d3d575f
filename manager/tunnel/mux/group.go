package mux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// ErrNoCarrier: there is no carrier to open a flow on.
var ErrNoCarrier = errors.New("no carrier")

// Group opens flows over the carriers of one session. It is safe for
// concurrent use; the zero value is not usable.
type Group struct {
	budget *Budget

	mu       sync.Mutex
	carriers []*opener
}

// NewGroup returns a Group without carriers. Windows of its flows grow within
// budget.
func NewGroup(budget *Budget) *Group { return &Group{budget: budget} }

// opener is the client end of a carrier.
type opener struct {
	cc      *grpc.ClientConn
	control *control
	next    atomic.Uint32

	// rate is bytes per second of late, sampled when a flow picks its carrier.
	rate      float64
	lastMoved int64
	lastTime  time.Time
}

// Add opens flows on a carrier until it breaks or ctx ends. It owns c. It calls up,
// unless that is nil, as soon as flows may pick the carrier.
func (g *Group) Add(ctx context.Context, c net.Conn, up func()) error {
	conn := make(chan net.Conn, 1)
	conn <- c
	dial := func(context.Context, string) (net.Conn, error) {
		select {
		case c := <-conn:
			return c, nil
		default:
			return nil, errors.New("carrier is gone")
		}
	}
	cc, err := grpc.NewClient("passthrough:///carrier", append(dialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))...)
	if err != nil {
		c.Close()
		return err
	}
	defer c.Close()
	defer cc.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, controlMethod)
	if err != nil {
		return fmt.Errorf("open control stream: %w", err)
	}
	o := &opener{cc: cc, control: newControl(), lastTime: time.Now()}
	o.control.tell(c)
	g.mu.Lock()
	g.carriers = append(g.carriers, o)
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.carriers = slices.DeleteFunc(g.carriers, func(x *opener) bool { return x == o })
		g.mu.Unlock()
	}()
	if up != nil {
		up()
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	return o.control.run(s)
}

// Len is the number of carriers.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.carriers)
}

// Ping measures the round trip of the carrier that answers first. It returns false if
// none answers in time.
func (g *Group) Ping(timeout time.Duration) (time.Duration, bool) {
	g.mu.Lock()
	carriers := slices.Clone(g.carriers)
	g.mu.Unlock()
	type answer struct {
		rtt time.Duration
		ok  bool
	}
	answers := make(chan answer, len(carriers))
	for _, o := range carriers {
		go func() {
			rtt, ok := o.control.ping(timeout)
			answers <- answer{rtt, ok}
		}()
	}
	for range carriers {
		if a := <-answers; a.ok {
			return a.rtt, true
		}
	}
	return 0, false
}

// pick chooses the carrier that has moved the fewest bytes of late, so that a quiet
// flow does not queue behind a busy one. Of several such carriers it chooses the one
// with the fewest flows.
func (g *Group) pick() *opener {
	const quiet = 1 << 20 // bytes per second
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	var best *opener
	bestFlows := 0
	for _, o := range g.carriers {
		if dt := now.Sub(o.lastTime); dt > 50*time.Millisecond {
			moved := o.control.moved.Load()
			o.rate = float64(moved-o.lastMoved) / dt.Seconds()
			o.lastMoved, o.lastTime = moved, now
			if o.rate < quiet {
				o.rate = 0
			}
		}
		flows := o.control.count()
		if best == nil || o.rate < best.rate || o.rate == best.rate && flows < bestFlows {
			best, bestFlows = o, flows
		}
	}
	return best
}

// OutFlow is the opener's end of a flow.
type OutFlow struct {
	flow
	stream grpc.ClientStream
	cancel context.CancelFunc
}

// Open opens a flow and does not wait for the answer. The caller may reuse o.First
// when Open has returned.
func (g *Group) Open(ctx context.Context, o *frame.Open) (*OutFlow, error) {
	carrier := g.pick()
	if carrier == nil {
		return nil, ErrNoCarrier
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := carrier.cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, flowMethod)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open flow: %w", err)
	}
	open := *o
	open.Flow = carrier.control.nextID(&carrier.next)
	f := &OutFlow{stream: stream, cancel: cancel, flow: flow{messenger: stream, ctx: stream.Context(), id: open.Flow,
		control: carrier.control, credit: newCredit(), window: newWindow(g.budget)}}
	carrier.control.add(open.Flow, f.credit)
	frame, err := frame.AppendOpen(make([]byte, 0, 256+len(o.First)), &open)
	if err == nil {
		err = stream.SendMsg(mem.BufferSlice{mem.SliceBuffer(frame)})
	}
	if err != nil {
		f.Abort()
		return nil, fmt.Errorf("open flow: %w", err)
	}
	return f, nil
}

// nextID finds a flow number that is not in use.
func (c *control) nextID(next *atomic.Uint32) uint32 {
	for {
		id := next.Add(1)
		c.mu.Lock()
		_, taken := c.flows[id]
		c.mu.Unlock()
		if !taken {
			return id
		}
	}
}

// Confirm waits until the far side has reached its target. If the far side has
// answered that it does not take the flow, frame.Answered is true of the error;
// any other error is the carrier's.
func (f *OutFlow) Confirm() error {
	md, err := f.stream.Header()
	if err == nil && md != nil {
		return nil
	}
	var m mem.BufferSlice
	if err = f.stream.RecvMsg(&m); err == nil { // no headers: the stream has ended
		return errMessage
	}
	return fromStatus(err)
}

// Join moves bytes between the flow and s until both directions have ended,
// and closes both.
func (f *OutFlow) Join(s tunnel.Stream, count tunnel.Count) error {
	defer f.Abort()
	defer s.Close()
	if err := f.join(s, count, f.cancel); err != nil {
		return err
	}
	// To cancel earlier would drop what is queued for the far side.
	var m mem.BufferSlice
	for f.stream.RecvMsg(&m) == nil {
		m.Free()
	}
	return nil
}

// Abort ends the flow. The far side sees a reset, unless the flow had ended well.
func (f *OutFlow) Abort() {
	f.cancel()
	f.close()
}
