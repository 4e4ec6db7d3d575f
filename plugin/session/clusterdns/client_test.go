package clusterdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound/outboundtest"
)

// nameServer is the cluster's behind a carrier.
type nameServer struct {
	opens, queries atomic.Int32
	drop           atomic.Int32 // queries to lose
	end            atomic.Int32 // flows to end with their first query
	tcp            error        // what an open by TCP gets
	records        int
}

func (n *nameServer) handle(_ context.Context, o *frame.Open, in tunnel.Incoming) error {
	if o.Target != frame.TargetDNS {
		return frame.ErrRefused
	}
	if o.Protocol == frame.TCP && n.tcp != nil {
		return n.tcp
	}
	near, far := net.Pipe()
	if o.Protocol == frame.TCP {
		go func() {
			c := &dns.Conn{Conn: near}
			for {
				q, err := c.ReadMsg()
				if err != nil {
					return
				}
				c.WriteMsg(n.answer(q, dns.MaxMsgSize))
			}
		}()
		if err := in.Accept(); err != nil {
			return err
		}
		if _, err := far.Write(o.First); err != nil {
			return err
		}
		return in.Join(&outbound.PipeEnd{Conn: far}, nil)
	}
	n.opens.Add(1)
	go n.datagrams(near)
	if err := in.Accept(); err != nil {
		return err
	}
	if len(o.First) > 0 {
		if err := datagram.Write(far, o.First); err != nil {
			return err
		}
	}
	return in.Join(&outbound.PipeEnd{Conn: far}, nil)
}

func (n *nameServer) datagrams(c net.Conn) {
	defer c.Close()
	buf := make([]byte, datagram.Max)
	for {
		size, err := datagram.Read(c, buf)
		if err != nil {
			return
		}
		n.queries.Add(1)
		if n.end.Add(-1) >= 0 {
			return
		}
		q := new(dns.Msg)
		if q.Unpack(buf[:size]) != nil || n.drop.Add(-1) >= 0 {
			continue
		}
		b, err := n.answer(q, 512).Pack()
		if err != nil || datagram.Write(c, b) != nil {
			return
		}
	}
}

func (n *nameServer) answer(q *dns.Msg, size int) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	for i := range n.records {
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: 1, Ttl: 5}, A: net.IPv4(10, 0, 0, byte(i)).To4()})
	}
	m.Truncate(size)
	return m
}

// client is connected to n until the test ends; hangUp breaks its carrier.
func (n *nameServer) client(t *testing.T) (r *Client, hangUp func()) {
	t.Helper()
	group, hangUp := outboundtest.Carrier(t, n.handle)
	r = &Client{Dialer: &outbound.Dialer{Session: "s", Group: group}}
	t.Cleanup(r.Close)
	return r, hangUp
}

func ask(t *testing.T, r *Client) (*dns.Msg, error) {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion("quote.shop.svc.cluster.local.", dns.TypeA)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := r.Exchange(ctx, q)
	if err == nil && m.Id != q.Id {
		err = fmt.Errorf("answer %d to %d", m.Id, q.Id)
	}
	return m, err
}

func TestQueriesShareAFlow(t *testing.T) {
	n := &nameServer{records: 1}
	r, hangUp := n.client(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := ask(t, r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if opens := n.opens.Load(); opens != 1 {
		t.Errorf("%d flows", opens)
	}
	hangUp()
	for range 2 {
		if _, err := ask(t, r); !errors.Is(err, mux.ErrNoCarrier) {
			t.Errorf("without a carrier: %v", err)
		}
	}
	r.Close()
	if _, err := ask(t, r); err == nil {
		t.Error("an answer after the end")
	}
}

func TestLostQueries(t *testing.T) {
	n := &nameServer{records: 1}
	r, _ := n.client(t)
	n.drop.Store(2)
	if _, err := ask(t, r); err != nil || n.queries.Load() != 3 || n.opens.Load() != 1 {
		t.Errorf("%v after %d queries on %d flows", err, n.queries.Load(), n.opens.Load())
	}
	r, _ = n.client(t)
	n.opens.Store(0)
	n.end.Store(1)
	if _, err := ask(t, r); err != nil || n.opens.Load() != 2 {
		t.Errorf("%v after %d flows", err, n.opens.Load())
	}
	q := new(dns.Msg)
	if _, err := r.Exchange(t.Context(), q); err == nil {
		t.Error("an answer without a question")
	}
}

func TestTruncatedAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		tcp  error
		want int
	}{
		"by TCP":               {nil, 100},
		"not allowed":          {frame.ErrDenied, 0},
		"nobody listens there": {frame.ErrRefused, 0},
	} {
		n := &nameServer{records: 100, tcp: c.tcp}
		r, _ := n.client(t)
		for range 2 {
			m, err := ask(t, r)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if m.Truncated != (c.want == 0) || c.want > 0 && len(m.Answer) != c.want {
				t.Errorf("%s: %d records, truncated %v", name, len(m.Answer), m.Truncated)
			}
		}
	}
}

// The far side ends a flow that is idle: the next query opens another one.
func TestFlowThatEnded(t *testing.T) {
	w := outboundtest.New(t, outboundtest.Hello)
	w.Brief = true
	r := &Client{Dialer: &outbound.Dialer{Session: "s", Group: w.Group(t)}}
	defer r.Close()
	for range 3 {
		if m, err := ask(t, r); err != nil || len(m.Answer) != 1 {
			t.Fatalf("%v, %v", m, err)
		}
		r.mu.Lock()
		f := r.shared
		r.mu.Unlock()
		wait := time.After(20 * time.Second)
		select {
		case <-f.done:
		case <-wait:
			t.Fatal("the end of the flow goes unnoticed")
		}
	}
}

// Without access to the cluster a query fails at once.
func TestAway(t *testing.T) {
	var g outbound.Gate
	g.Set(false)
	c := &Client{Dialer: &outbound.Dialer{Gate: &g, Group: mux.NewGroup(mux.NewBudget(1 << 20))}}
	if _, err := ask(t, c); !errors.Is(err, outbound.ErrAway) {
		t.Errorf("away: %v", err)
	}
}
