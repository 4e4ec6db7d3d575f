// Package clusterdns asks the cluster's name server. All queries of a Client share
// one flow of datagrams through the session.
package clusterdns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

const (
	queryTimeout = 6 * time.Second
	// attempts is on how many flows a query is tried, one after the other.
	attempts = 3
)

// Client sends queries. It is safe for concurrent use.
type Client struct {
	Dialer *outbound.Dialer

	mu      sync.Mutex
	shared  *flow
	opening *opening
	closed  bool
}

// Exchange sends one query and returns the answer, with the query's own ID. A
// query that gets lost is sent again. Without a carrier Exchange fails at once. An
// answer that does not fit into a datagram is fetched by TCP; where that fails, the
// truncated answer is returned.
func (c *Client) Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	if len(q.Question) != 1 {
		return nil, errors.New("a query has one question")
	}
	m, err := c.exchange(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", strings.ToLower(q.Question[0].Name), err)
	}
	m.Id = q.Id
	return m, nil
}

func (c *Client) exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	ctx, end, err := c.Dialer.Gate.Pass(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	m, err := c.overUDP(ctx, q)
	if err == nil && m.Truncated {
		if whole := c.overTCP(ctx, q); whole != nil {
			m = whole
		}
	}
	return m, err
}

func (c *Client) overUDP(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	for range attempts {
		f, p, sent, err := c.add(ctx, q)
		if err != nil {
			return nil, err
		}
		if m, err := f.wait(ctx, p, sent); !errors.Is(err, errFlowEnded) {
			return m, err
		}
	}
	return nil, errFlowEnded
}

// opening is a flow that is being opened.
type opening struct {
	done chan struct{} // closed when the flow is open or err is set
	flow *flow
	err  error
}

// add puts a query on the shared flow. If there is none, add opens one, and the
// query travels with the open: then it counts as sent.
func (c *Client) add(ctx context.Context, q *dns.Msg) (f *flow, p *pending, sent bool, err error) {
	c.mu.Lock()
	if f = c.shared; f != nil && !f.over() {
		c.mu.Unlock()
		p, err = f.add(q)
		return f, p, false, err
	}
	if c.closed {
		c.mu.Unlock()
		return nil, nil, false, errFlowEnded
	}
	if c.opening == nil {
		sent = true
		f = newFlow()
		if p, err = f.add(q); err != nil {
			c.mu.Unlock()
			f.end()
			return nil, nil, false, err
		}
		c.opening = &opening{done: make(chan struct{}), flow: f}
		go c.open(c.opening, p.packet)
	}
	o := c.opening
	c.mu.Unlock()
	select {
	case <-o.done:
		err = o.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case err == nil && p == nil:
		p, err = o.flow.add(q)
	case err != nil && p != nil:
		o.flow.drop(p)
	}
	return o.flow, p, sent, err
}

func (c *Client) open(o *opening, first []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	conn, err := c.Dialer.Open(ctx, frame.UDP, frame.TargetDNS, first)
	c.mu.Lock()
	c.opening = nil
	if o.err = err; err != nil || c.closed {
		o.flow.end()
	} else {
		c.shared = o.flow
	}
	c.mu.Unlock()
	if err == nil {
		o.flow.join(conn) // where Close came first, this ends conn
	}
	close(o.done)
}

// overTCP returns nil if there is no answer by TCP.
func (c *Client) overTCP(ctx context.Context, q *dns.Msg) *dns.Msg {
	packet, err := q.Pack()
	if err != nil {
		return nil
	}
	first := append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	conn, err := c.Dialer.Open(ctx, frame.TCP, frame.TargetDNS, first)
	if err != nil {
		return nil
	}
	near, far := net.Pipe()
	go conn.Join(&outbound.PipeEnd{Conn: far}, nil) // ends with near
	defer near.Close()
	defer context.AfterFunc(ctx, func() { near.Close() })()
	m, err := (&dns.Conn{Conn: near}).ReadMsg()
	if err != nil || m.Id != q.Id || !m.Response {
		return nil
	}
	return m
}

// Close ends the flow that queries share. Later queries fail.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.shared != nil {
		c.shared.end()
	}
}
