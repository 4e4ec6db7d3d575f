package outbound

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
)

var errExchange = errors.New("the flow to the name server has ended")

const (
	// resend is when a query counts as lost.
	resend = time.Second
	// backlog are the queries that wait for the flow to take them.
	backlog = 64
)

// exchange is a UDP flow to a name server that many queries share. On it they
// have numbers of its own. It is the flow's Stream itself, so that neither a
// question nor an answer passes through a goroutine on its way.
type exchange struct {
	out  chan []byte
	done chan struct{}
	once sync.Once

	rest []byte // framed, and not read yet
	part []byte // of a frame that has not arrived whole

	mu      sync.Mutex
	next    uint16
	waiting map[uint16]chan *dns.Msg
}

var _ tunnel.Stream = (*exchange)(nil)

// newExchange makes one that still needs its flow: either join or end must be
// called.
func newExchange() *exchange {
	return &exchange{out: make(chan []byte, backlog), done: make(chan struct{}), waiting: map[uint16]chan *dns.Msg{}}
}

func (x *exchange) join(c Conn) {
	go func() {
		c.Join(x, nil) // its end is the end of the exchange
		x.end()
	}()
}

func (x *exchange) end() { x.once.Do(func() { close(x.done) }) }

func (x *exchange) over() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// Read gives the flow what was asked, as framed datagrams.
func (x *exchange) Read(p []byte) (int, error) {
	if len(x.rest) == 0 {
		select {
		case packet := <-x.out:
			x.frame(packet)
			runtime.Gosched() // the question for the other family comes along
		case <-x.done:
			return 0, io.ErrClosedPipe
		}
	}
	for len(x.rest) < len(p) {
		select {
		case packet := <-x.out:
			x.frame(packet)
			continue
		default:
		}
		break
	}
	n := copy(p, x.rest)
	x.rest = x.rest[:copy(x.rest, x.rest[n:])]
	return n, nil
}

func (x *exchange) frame(packet []byte) {
	x.rest = append(binary.BigEndian.AppendUint16(x.rest, uint16(len(packet))), packet...)
}

// Write takes answers from the flow. It never waits.
func (x *exchange) Write(p []byte) (int, error) {
	if x.over() {
		return 0, io.ErrClosedPipe
	}
	in := p
	if len(x.part) > 0 {
		x.part = append(x.part, p...)
		in = x.part
	}
	for len(in) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(in))
		if len(in) < end {
			break
		}
		x.answer(in[2:end])
		in = in[end:]
	}
	x.part = append(x.part[:0], in...)
	return len(p), nil
}

func (x *exchange) answer(packet []byte) {
	m := new(dns.Msg)
	if m.Unpack(packet) != nil || !m.Response {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if ch := x.waiting[m.Id]; ch != nil {
		delete(x.waiting, m.Id)
		ch <- m
	}
}

// CloseWrite ends it: when the far side ends a flow of datagrams, for want of
// traffic, there will be no answers.
func (x *exchange) CloseWrite() error { return x.Close() }

// Reset ends it.
func (x *exchange) Reset() { x.end() }

// Close ends it.
func (x *exchange) Close() error {
	x.end()
	return nil
}

// SetReadDeadline does nothing: there is no time within which to ask.
func (x *exchange) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: a Write never waits.
func (x *exchange) SetWriteDeadline(time.Time) error { return nil }

// pending is a query with a number of the exchange.
type pending struct {
	id     uint16
	packet []byte
	answer chan *dns.Msg
}

func (x *exchange) add(q *dns.Msg) (*pending, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.waiting) > 1<<15 {
		return nil, errors.New("too many questions at once")
	}
	for x.next++; x.waiting[x.next] != nil; x.next++ {
	}
	numbered := *q
	numbered.Id = x.next
	packet, err := numbered.Pack()
	if err != nil {
		return nil, err
	}
	p := &pending{id: x.next, packet: packet, answer: make(chan *dns.Msg, 1)}
	x.waiting[p.id] = p.answer
	return p, nil
}

func (x *exchange) drop(p *pending) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.waiting, p.id)
}

// wait sends a query, unless that has been done, and again when it got lost,
// until there is an answer or ctx or the flow ends.
func (x *exchange) wait(ctx context.Context, p *pending, sent bool) (*dns.Msg, error) {
	defer x.drop(p)
	out := x.out
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
			out = x.out
		case m := <-p.answer:
			return m, nil
		case <-x.done:
			return nil, errExchange
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
