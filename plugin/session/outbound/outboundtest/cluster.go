// Package outboundtest is the cluster's end of outbound flows, for tests.
package outboundtest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// Cluster has one Service. Port 80 of its address leads to a server on this
// machine, port 81 is closed, datagrams and echoes come back. All other addresses
// are denied.
type Cluster struct {
	// Address is the Service's in the cluster, Local where its server listens.
	Address netip.Addr
	Local   netip.AddrPort
	// Names are the full names of the Service.
	Names []string
	// Lost is how many queries still get no answer.
	Lost int
	// Brief has the far side end flows of datagrams after one datagram.
	Brief bool
	// Pings counts flows of echoes.
	Pings atomic.Int32

	mu     sync.Mutex
	asked  []string
	opened []string
}

// New makes a Cluster whose Service is quote.shop, which serve serves.
func New(t *testing.T, serve func(net.Conn)) *Cluster {
	t.Helper()
	return &Cluster{Address: netip.MustParseAddr("10.96.0.7"), Local: netip.MustParseAddrPort(Listen(t, serve)),
		Names: []string{"quote.shop.svc.cluster.local."}}
}

// Group returns an outbound carrier to the Cluster, which lasts as long as the test.
func (c *Cluster) Group(t *testing.T) *mux.Group {
	t.Helper()
	group, _ := Carrier(t, c.Handle)
	return group
}

// Carrier returns an outbound carrier whose flows handle gets. It lasts as long as the
// test, or until hangUp is called.
func Carrier(t *testing.T, handle tunnel.Handler) (group *mux.Group, hangUp func()) {
	t.Helper()
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	group = mux.NewGroup(mux.NewBudget(1 << 20))
	var all sync.WaitGroup
	all.Go(func() { group.Add(ctx, near, nil) })
	all.Go(func() { mux.Serve(ctx, far, mux.NewBudget(1<<20), handle) })
	hangUp = func() {
		cancel()
		all.Wait()
	}
	t.Cleanup(hangUp)
	for deadline := time.Now().Add(20 * time.Second); group.Len() == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the carrier does not come up")
		}
	}
	return group, hangUp
}

// Listen serves connections until the test ends, and returns its address.
func Listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	return tunneltest.Listen(t, serve).Addr().String()
}

// Hello answers one HTTP request with its first line and host.
func Hello(c net.Conn) {
	defer c.Close()
	q, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s %s from %s", q.Method, q.URL, q.Host)
	}
}

// Asked are the names in the queries so far, Opened the targets of the other flows.
func (c *Cluster) Asked() []string { return c.list(&c.asked) }

// Opened are the targets of the flows so far, but for queries.
func (c *Cluster) Opened() []string { return c.list(&c.opened) }

func (c *Cluster) list(l *[]string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(*l)
}

func (c *Cluster) note(l *[]string, s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*l = append(*l, s)
}

// Handle is the tunnel.Handler of flows.
func (c *Cluster) Handle(_ context.Context, o *frame.Open, in tunnel.Incoming) error {
	if o.Target == frame.TargetDNS {
		return c.pipe(o, in, c.answer)
	}
	c.note(&c.opened, o.Target)
	switch {
	case o.Protocol == frame.ICMP && o.Target == c.Address.String():
		c.Pings.Add(1)
		return c.pipe(o, in, echo)
	case o.Protocol == frame.UDP:
		return c.pipe(o, in, func(b []byte) ([]byte, bool) { return b, true })
	case o.Target == netip.AddrPortFrom(c.Address, 80).String():
		s, err := net.Dial("tcp", c.Local.String())
		if err != nil {
			return frame.ErrRefused
		}
		if err := in.Accept(); err != nil {
			return err
		}
		return in.Join(tunnel.NewTCP(s.(*net.TCPConn)), nil)
	case o.Target == netip.AddrPortFrom(c.Address, 81).String():
		return frame.ErrRefused
	}
	return &frame.DeniedError{Reason: "10.0.0.1 is out of reach"}
}

// pipe accepts a flow of datagrams. Answer returns the answer to one, nil if there
// is none, and whether the flow goes on.
func (c *Cluster) pipe(o *frame.Open, in tunnel.Incoming, answer func([]byte) ([]byte, bool)) error {
	if err := in.Accept(); err != nil {
		return err
	}
	near, far := net.Pipe()
	go func() {
		defer near.Close()
		buf := make([]byte, datagram.Max)
		for {
			n, err := datagram.Read(near, buf)
			if err != nil {
				return
			}
			b, more := answer(buf[:n])
			if b != nil && datagram.Write(near, b) != nil || !more || b != nil && c.Brief {
				return
			}
		}
	}()
	if len(o.First) > 0 {
		if err := datagram.Write(far, o.First); err != nil {
			return err
		}
	}
	return in.Join(end{far}, nil)
}

// answer is the cluster's name server.
func (c *Cluster) answer(packet []byte) ([]byte, bool) {
	q := new(dns.Msg)
	if q.Unpack(packet) != nil {
		return nil, false
	}
	name := q.Question[0].Name
	c.note(&c.asked, name)
	if c.Lost > 0 {
		c.Lost--
		return nil, true
	}
	a := new(dns.Msg).SetReply(q)
	switch {
	case !slices.Contains(c.Names, name):
		a.Rcode = dns.RcodeNameError
	case q.Question[0].Qtype == dns.TypeA:
		a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: c.Address.AsSlice()}}
	}
	b, err := a.Pack()
	return b, err == nil
}

// echo answers echoes. One that says "lost" gets no reply, "end" ends the flow.
func echo(packet []byte) ([]byte, bool) {
	_, payload, err := datagram.ParseEcho(packet)
	switch {
	case err != nil || string(payload) == "end":
		return nil, false
	case string(payload) == "lost":
		return nil, true
	}
	return packet, true
}

// end is a Stream over one end of a pipe.
type end struct{ net.Conn }

func (e end) CloseWrite() error { return e.Close() }
func (e end) Reset()            { e.Close() }
