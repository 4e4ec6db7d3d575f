package outbound

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// ErrNoName says that the cluster does not know a name.
var ErrNoName = errors.New("no such name in the cluster")

const (
	queryTimeout = 6 * time.Second
	// flows is how many a query tries.
	flows = 3
)

// Resolver asks the cluster's name server, as a pod of a namespace would. It is
// safe for concurrent use.
type Resolver struct {
	Dialer *Dialer
	// Domain is the cluster's, without dots around it; Namespace that of the
	// names without one.
	Domain, Namespace string

	noTCP atomic.Bool
	// known are the last labels of short names that were the cluster's.
	known sync.Map

	mu      sync.Mutex
	shared  *exchange
	opening *opening
	closed  bool
}

// Candidates are the full names that a name may stand for in the cluster, in
// the order in which a pod tries them; none if it cannot be one of the
// cluster's. A name of two labels is a Service and its namespace, or of the
// world outside, and only the former is asked of the cluster.
func (r *Resolver) Candidates(name string) []string {
	full := strings.TrimSuffix(strings.ToLower(name), ".")
	labels := strings.Split(full, ".")
	absolute := full + "."
	switch svc := "svc." + r.Domain + "."; {
	case full == "" || slices.Contains(labels, ""):
		return nil
	case full == r.Domain || strings.HasSuffix(full, "."+r.Domain):
		return []string{absolute}
	case strings.HasSuffix(name, "."):
		return nil
	case labels[len(labels)-1] == "svc":
		return []string{absolute + r.Domain + "."}
	case len(labels) == 1:
		return []string{absolute + r.Namespace + "." + svc}
	case len(labels) == 2:
		return []string{absolute + svc, absolute + r.Namespace + "." + svc}
	case len(labels) == 3: // a pod of a headless Service
		return []string{absolute + svc}
	}
	return nil
}

// Lookup returns the addresses of a name, IPv4 first. The error is ErrNoName if
// there is none, or if the name cannot be one of the cluster's.
func (r *Resolver) Lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	for _, full := range r.Candidates(name) {
		addrs, err := r.both(ctx, full)
		if len(addrs) > 0 {
			if last, short := r.short(name); short {
				r.known.Store(last, true)
			}
		}
		if err != nil || len(addrs) > 0 {
			return addrs, err
		}
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNoName)
}

// short says whether a name has a dot and may be the cluster's or the world's,
// and how it ends.
func (r *Resolver) short(name string) (last string, ok bool) {
	full := strings.TrimSuffix(strings.ToLower(name), ".")
	last = full[strings.LastIndexByte(full, '.')+1:]
	return last, last != full && last != "svc" && full != r.Domain && !strings.HasSuffix(full, "."+r.Domain)
}

// foreign says that a name is the world's as long as the cluster cannot be asked:
// it has the form, and none of the cluster's names ended so.
func (r *Resolver) foreign(name string) bool {
	last, short := r.short(name)
	_, known := r.known.Load(last)
	return short && !known && last != r.Namespace
}

// both asks for A and AAAA at once.
func (r *Resolver) both(ctx context.Context, full string) ([]netip.Addr, error) {
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	types := []uint16{dns.TypeA, dns.TypeAAAA}
	answers := make([]chan answer, len(types))
	for i, t := range types {
		answers[i] = make(chan answer, 1)
		go func() {
			addrs, err := r.addresses(ctx, full, t)
			answers[i] <- answer{addrs, err}
		}()
	}
	var addrs []netip.Addr
	var failed error
	for _, ch := range answers {
		a := <-ch
		addrs = append(addrs, a.addrs...)
		if a.err != nil {
			failed = a.err
		}
	}
	if len(addrs) > 0 {
		failed = nil
	}
	return addrs, failed
}

func (r *Resolver) addresses(ctx context.Context, full string, t uint16) ([]netip.Addr, error) {
	q := new(dns.Msg)
	q.SetQuestion(full, t)
	m, err := r.Exchange(ctx, q)
	if err != nil {
		return nil, err
	}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("look up %s: the cluster's name server says %s", full, dns.RcodeToString[m.Rcode])
	}
	var addrs []netip.Addr
	for _, rr := range m.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs, nil
}

// Exchange sends one query to the cluster's name server, again if it gets
// lost, and returns the answer, with the query's own number. Without a carrier
// it fails at once. An answer that does not fit into a datagram is fetched by
// TCP; if the cluster does not allow that, it is returned truncated.
func (r *Resolver) Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	if len(q.Question) != 1 {
		return nil, errors.New("a query has one question")
	}
	ctx, end, err := r.Dialer.Gate.pass(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", strings.ToLower(q.Question[0].Name), err)
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	m, err := r.byUDP(ctx, q)
	if err == nil && m.Truncated {
		if whole := r.byTCP(ctx, q); whole != nil {
			m = whole
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", strings.ToLower(q.Question[0].Name), err)
	}
	m.Id = q.Id
	return m, nil
}

func (r *Resolver) byUDP(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	for range flows {
		x, p, sent, err := r.exchange(ctx, q)
		if err != nil {
			return nil, err
		}
		if m, err := x.wait(ctx, p, sent); !errors.Is(err, errExchange) {
			return m, err
		}
	}
	return nil, errExchange
}

// opening is a flow to come.
type opening struct {
	done chan struct{}
	x    *exchange
	err  error
}

// exchange puts a query on the flow that all share. If there is none yet, the
// query travels with its open, and is sent.
func (r *Resolver) exchange(ctx context.Context, q *dns.Msg) (x *exchange, p *pending, sent bool, err error) {
	r.mu.Lock()
	if x = r.shared; x == nil || x.over() {
		if r.closed {
			r.mu.Unlock()
			return nil, nil, false, errExchange
		}
		x = nil
		if r.opening == nil {
			x, sent = newExchange(), true
			if p, err = x.add(q); err != nil {
				r.mu.Unlock()
				x.end()
				return nil, nil, false, err
			}
			r.opening = &opening{done: make(chan struct{}), x: x}
			go r.open(r.opening, p.packet)
		}
	}
	o := r.opening
	r.mu.Unlock()
	if x == nil || sent {
		select {
		case <-o.done:
			x, err = o.x, o.err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		if p != nil {
			o.x.drop(p)
		}
		return nil, nil, false, err
	}
	if p == nil {
		p, err = x.add(q)
	}
	return x, p, sent, err
}

func (r *Resolver) open(o *opening, first []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	c, err := r.Dialer.Open(ctx, frame.UDP, frame.TargetDNS, first)
	r.mu.Lock()
	r.opening = nil
	if o.err = err; err != nil || r.closed {
		o.x.end()
	} else {
		r.shared = o.x
	}
	r.mu.Unlock()
	if err == nil {
		o.x.join(c) // also ends the flow of one that is closed
	}
	close(o.done)
}

// byTCP returns nil if that is not possible.
func (r *Resolver) byTCP(ctx context.Context, q *dns.Msg) *dns.Msg {
	packet, err := q.Pack()
	if err != nil || r.noTCP.Load() {
		return nil
	}
	first := append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	c, err := r.Dialer.Open(ctx, frame.TCP, frame.TargetDNS, first)
	if err != nil {
		if errors.Is(err, frame.ErrDenied) {
			r.noTCP.Store(true) // an older traffic-manager
		}
		return nil
	}
	near, far := net.Pipe()
	go c.Join(&framed{far}, nil) // ends with near
	defer near.Close()
	defer context.AfterFunc(ctx, func() { near.Close() })()
	m, err := (&dns.Conn{Conn: near}).ReadMsg()
	if err != nil || m.Id != q.Id || !m.Response {
		return nil
	}
	return m
}

// Close ends the flow that queries share. There will be no other one.
func (r *Resolver) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.shared != nil {
		r.shared.end()
	}
}

// framed is a Stream of datagrams for one side of a pipe.
type framed struct{ net.Conn }

// CloseWrite closes the pipe: when the far side ends a flow of datagrams, for
// want of traffic, there will be no answers.
func (f *framed) CloseWrite() error { return f.Close() }

// Reset closes the pipe.
func (f *framed) Reset() { f.Close() }
