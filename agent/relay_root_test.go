//go:build rootful

package main

import (
	"crypto/tls"
	"net"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

const relayAddr = callerIP + ":8443"

// fakeRelay is a replica with the session of a laptop.
type fakeRelay struct {
	mu       sync.Mutex
	answer   func(*frame.Open) (frame.Verdict, bool) // false: no answer at all
	serve    func(*line.Conn, *frame.Open)
	opens    []*frame.Open
	accepted int
	resumed  int // of those accepted
	closed   chan struct{}
}

func startRelay(m *manager) *fakeRelay {
	r := &fakeRelay{
		closed: make(chan struct{}),
		answer: func(*frame.Open) (frame.Verdict, bool) { return frame.Accepted, true },
		serve: func(c *line.Conn, o *frame.Open) {
			talk(c, "laptop", string(o.First))
		},
	}
	ln := m.lab.caller.listen(relayAddr)
	m.t.Cleanup(func() { close(r.closed) })
	cfg := m.tls(handshake.ALPNFlow, tls.RequireAndVerifyClientCert)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go r.handle(c, cfg)
		}
	}()
	return r
}

func (r *fakeRelay) handle(c net.Conn, cfg *tls.Config) {
	defer c.Close()
	t := tls.Server(record.NewConn(c), cfg)
	if t.Handshake() != nil {
		return
	}
	f, err := line.NewConn(t)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.accepted++
	if t.ConnectionState().DidResume {
		r.resumed++
	}
	r.mu.Unlock()
	o, err := frame.ReadOpen(f)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.opens = append(r.opens, o)
	answer, serve := r.answer, r.serve
	r.mu.Unlock()
	v, ok := answer(o)
	if !ok {
		<-r.closed
		return
	}
	if frame.WriteVerdict(f, v) == nil && v == frame.Accepted {
		serve(f, o)
	}
}

func (r *fakeRelay) set(answer func(*frame.Open) (frame.Verdict, bool), serve func(*line.Conn, *frame.Open)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer != nil {
		r.answer = answer
	}
	if serve != nil {
		r.serve = serve
	}
}

func (r *fakeRelay) say(v frame.Verdict) {
	r.set(func(*frame.Open) (frame.Verdict, bool) { return v, true }, nil)
}

func (r *fakeRelay) seen() []*frame.Open {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*frame.Open(nil), r.opens...)
}

// tcpPort is port 80 intercepted by way of the relay.
func tcpPort(number uint32) *rpc.CapturePort {
	return &rpc.CapturePort{Port: number, Routes: []*rpc.Route{{
		Intercept: "shop/web", InterceptUid: "icept-1", Session: "alice", Relays: []string{relayAddr},
	}}}
}

func udpPort(number uint32) *rpc.CapturePort {
	p := tcpPort(number)
	p.Protocol = rpc.Protocol_UDP
	return p
}
