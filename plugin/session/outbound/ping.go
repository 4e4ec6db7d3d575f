package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// maxPings bounds how many programs may ping at once.
const maxPings = 256

var (
	errPings     = errors.New("too many programs ping at once")
	errPingEnded = errors.New("the flow of echoes has ended")
)

// Pinger sends echo requests into the cluster. The echoes of one program to one
// address share a flow. The zero value with a Dialer is ready; it is safe for
// concurrent use.
type Pinger struct {
	Dialer *Dialer

	mu    sync.Mutex
	flows map[pingKey]*pings
}

// pingKey is what stays the same while a ping(8) runs.
type pingKey struct {
	from, to netip.Addr
	id       uint16
}

// pings is the flow of one program to one address.
type pings struct {
	ready chan struct{} // closed when near or err is set
	near  net.Conn
	err   error
	done  chan struct{} // closed when the flow has ended

	mu      sync.Mutex // also guards writing to near
	waiting map[uint16]chan []byte
}

// Ping sends one echo request and returns the payload of its reply. The error is
// Dialer.Open's, or says that the flow or ctx ended before the reply came. ID is the
// program's.
func (p *Pinger) Ping(ctx context.Context, from, to netip.Addr, id, seq uint16, payload []byte) ([]byte, error) {
	f, err := p.flow(ctx, pingKey{from, to, id})
	if err != nil {
		return nil, err
	}
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.ping(ctx, seq, payload)
}

// flow returns the flow for a key, and opens it if there is none.
func (p *Pinger) flow(ctx context.Context, k pingKey) (*pings, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flows[k]; f != nil {
		return f, nil
	}
	if len(p.flows) >= maxPings {
		return nil, errPings
	}
	f := &pings{ready: make(chan struct{}), done: make(chan struct{}), waiting: map[uint16]chan []byte{}}
	if p.flows == nil {
		p.flows = map[pingKey]*pings{}
	}
	p.flows[k] = f
	go func() {
		defer func() {
			p.mu.Lock()
			delete(p.flows, k)
			p.mu.Unlock()
			close(f.done)
		}()
		c, err := p.Dialer.Open(ctx, frame.ICMP, k.to.String(), nil)
		if err != nil {
			f.err = err
			close(f.ready)
			return
		}
		near, far := net.Pipe()
		f.near = near
		close(f.ready)
		go func() {
			c.Join(&PipeEnd{far}, nil) // its end ends f.read
			far.Close()
		}()
		f.read()
	}()
	return f, nil
}

// Close ends the flows.
func (p *Pinger) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.flows {
		select {
		case <-f.ready:
			if f.near != nil {
				f.near.Close()
			}
		default: // still opening: the Dialer ends it
		}
	}
}

// read gives each reply to the Ping that waits for it, until the flow ends.
func (f *pings) read() {
	defer f.near.Close()
	buf := make([]byte, datagram.Max)
	for {
		n, err := datagram.Read(f.near, buf)
		if err != nil {
			return
		}
		seq, payload, err := datagram.ParseEcho(buf[:n])
		if err != nil {
			return
		}
		f.mu.Lock()
		if ch := f.waiting[seq]; ch != nil {
			delete(f.waiting, seq)
			ch <- append([]byte(nil), payload...)
		}
		f.mu.Unlock()
	}
}

func (f *pings) ping(ctx context.Context, seq uint16, payload []byte) ([]byte, error) {
	reply := make(chan []byte, 1)
	f.mu.Lock()
	f.waiting[seq] = reply
	err := datagram.Write(f.near, datagram.AppendEcho(nil, seq, payload))
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		if f.waiting[seq] == reply {
			delete(f.waiting, seq)
		}
		f.mu.Unlock()
	}()
	if err != nil {
		return nil, errPingEnded
	}
	select {
	case b := <-reply:
		return b, nil
	case <-f.done:
		return nil, errPingEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
