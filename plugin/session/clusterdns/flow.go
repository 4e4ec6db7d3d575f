package clusterdns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

var errFlowEnded = errors.New("the flow to the name server has ended")

const (
	// resend is how long a query waits for its answer before it is sent again.
	resend = time.Second
	// backlog are the queries that wait for the flow to take them.
	backlog = 64
)

// flow is a UDP flow to the name server that many queries share. Each query gets
// an ID that is unique on the flow. The flow is its own Stream, so that neither a
// query nor an answer passes through a goroutine on its way.
type flow struct {
	out  chan []byte
	done chan struct{}
	once sync.Once

	rest []byte // queries, framed, that Read has not returned yet
	part []byte // the beginning of an answer whose end has not arrived

	mu      sync.Mutex
	next    uint16
	waiting map[uint16]chan *dns.Msg
}

var _ tunnel.Stream = (*flow)(nil)

// newFlow makes a flow that is not open yet: the caller must call join or end.
func newFlow() *flow {
	return &flow{out: make(chan []byte, backlog), done: make(chan struct{}), waiting: map[uint16]chan *dns.Msg{}}
}

// join carries queries and answers until c ends, which is the end of the flow.
func (f *flow) join(c outbound.Conn) {
	go func() {
		c.Join(f, nil)
		f.end()
	}()
}

func (f *flow) end() { f.once.Do(func() { close(f.done) }) }

func (f *flow) over() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// Read returns queries, as framed datagrams.
func (f *flow) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		select {
		case packet := <-f.out:
			f.frame(packet)
			runtime.Gosched() // lets the query for the other address family join
		case <-f.done:
			return 0, io.ErrClosedPipe
		}
	}
	for len(f.rest) < len(p) {
		select {
		case packet := <-f.out:
			f.frame(packet)
			continue
		default:
		}
		break
	}
	n := copy(p, f.rest)
	f.rest = f.rest[:copy(f.rest, f.rest[n:])]
	return n, nil
}

func (f *flow) frame(packet []byte) {
	f.rest = append(binary.BigEndian.AppendUint16(f.rest, uint16(len(packet))), packet...)
}

// Write takes answers. It never waits.
func (f *flow) Write(p []byte) (int, error) {
	if f.over() {
		return 0, io.ErrClosedPipe
	}
	in := p
	if len(f.part) > 0 {
		f.part = append(f.part, p...)
		in = f.part
	}
	for len(in) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(in))
		if len(in) < end {
			break
		}
		f.answer(in[2:end])
		in = in[end:]
	}
	f.part = append(f.part[:0], in...)
	return len(p), nil
}

func (f *flow) answer(packet []byte) {
	m := new(dns.Msg)
	if m.Unpack(packet) != nil || !m.Response {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if ch := f.waiting[m.Id]; ch != nil {
		delete(f.waiting, m.Id)
		ch <- m
	}
}

// CloseWrite ends the flow: the far side ends a flow of datagrams that is idle,
// and sends no answers after that.
func (f *flow) CloseWrite() error { return f.Close() }

// Reset ends the flow.
func (f *flow) Reset() { f.end() }

// Close ends the flow.
func (f *flow) Close() error {
	f.end()
	return nil
}

// SetReadDeadline does nothing: a Read waits for the next query, however long.
func (f *flow) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: a Write never waits.
func (f *flow) SetWriteDeadline(time.Time) error { return nil }

// pending is a query with its ID on the flow.
type pending struct {
	id     uint16
	packet []byte
	answer chan *dns.Msg
}

func (f *flow) add(q *dns.Msg) (*pending, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) > 1<<15 {
		return nil, errors.New("too many queries at once")
	}
	for f.next++; f.waiting[f.next] != nil; f.next++ {
	}
	numbered := *q
	numbered.Id = f.next
	packet, err := numbered.Pack()
	if err != nil {
		return nil, err
	}
	p := &pending{id: f.next, packet: packet, answer: make(chan *dns.Msg, 1)}
	f.waiting[p.id] = p.answer
	return p, nil
}

func (f *flow) drop(p *pending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, p.id)
}

// wait sends a query, unless it was sent, and sends it again every second, until
// the answer comes, or ctx or the flow ends.
func (f *flow) wait(ctx context.Context, p *pending, sent bool) (*dns.Msg, error) {
	defer f.drop(p)
	out := f.out
	if sent {
		out = nil
	}
	lost := time.NewTicker(resend)
	defer lost.Stop()
	for {
		select {
		case out <- p.packet:
			out = nil
		case <-lost.C:
			out = f.out
		case m := <-p.answer:
			return m, nil
		case <-f.done:
			return nil, errFlowEnded
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
