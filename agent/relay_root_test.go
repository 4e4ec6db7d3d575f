//go:build rootful

package main

import (
	"crypto/tls"
	"net"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

const relayAddr = callerIP + ":8443"

// fakeRelay is a replica with the session of a laptop.
type fakeRelay struct {
	mu       sync.Mutex
	answer   func(*tunnel.Open) (tunnel.Verdict, bool) // false: no answer at all
	serve    func(*tunnel.FlowConn, *tunnel.Open)
	opens    []*tunnel.Open
	accepted int
	resumed  int // of those accepted
	closed   chan struct{}
}

func startRelay(m *manager) *fakeRelay {
	r := &fakeRelay{
		closed: make(chan struct{}),
		answer: func(*tunnel.Open) (tunnel.Verdict, bool) { return tunnel.Accepted, true },
		serve: func(c *tunnel.FlowConn, o *tunnel.Open) {
			talk(c, "laptop", string(o.First))
		},
	}
	ln := m.lab.caller.listen(relayAddr)
	m.t.Cleanup(func() { close(r.closed) })
	cfg := m.tls(tunnel.ALPNFlow, tls.RequireAndVerifyClientCert)
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
	t := tls.Server(tunnel.NewRecordConn(c), cfg)
	if t.Handshake() != nil {
		return
	}
	f, err := tunnel.NewFlowConn(t)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.accepted++
	if t.ConnectionState().DidResume {
		r.resumed++
	}
	r.mu.Unlock()
	o, err := tunnel.ReadOpen(f)
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
	if tunnel.WriteVerdict(f, v) == nil && v == tunnel.Accepted {
		serve(f, o)
	}
}

func (r *fakeRelay) set(answer func(*tunnel.Open) (tunnel.Verdict, bool), serve func(*tunnel.FlowConn, *tunnel.Open)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer != nil {
		r.answer = answer
	}
	if serve != nil {
		r.serve = serve
	}
}

func (r *fakeRelay) say(v tunnel.Verdict) {
	r.set(func(*tunnel.Open) (tunnel.Verdict, bool) { return v, true }, nil)
}

func (r *fakeRelay) seen() []*tunnel.Open {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*tunnel.Open(nil), r.opens...)
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
