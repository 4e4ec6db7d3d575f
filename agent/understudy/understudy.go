// Package understudy answers in place of an application that is stopped: the kubelet's probes
// with success, so that it neither restarts the container nor takes the pod out of its
// Services, and all others with an error that says why.
package understudy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const (
	// firstTime is how long a caller may be silent. One that waits for the application to
	// speak first waits that long.
	firstTime = 2 * time.Second
	// idleTime is how long a caller may keep a connection between two requests.
	idleTime = 30 * time.Second
	// joinTime bounds the connection within the agent.
	joinTime = 2 * time.Second
)

// Dial connects with an address of the pod, past the agent's redirect.
type Dial func(context.Context, netip.AddrPort) (*net.TCPConn, error)

// Understudy answers the callers of one port.
type Understudy struct {
	why    string
	probes []*rpc.Probe // with a User-Agent of their own
	dial   Dial
}

// New returns an Understudy. Why is told to callers, as a sentence without its full stop;
// probes are those of the port.
func New(why string, probes []*rpc.Probe, dial Dial) *Understudy {
	u := &Understudy{why: why, dial: dial}
	for _, p := range probes {
		if !p.Hook && agentOf(p) != "" {
			u.probes = append(u.probes, p)
		}
	}
	return u
}

// Dial returns a connection on which the Understudy answers.
func (u *Understudy) Dial(ctx context.Context) (*net.TCPConn, error) {
	// A connection of the kernel, since the agent moves and tells apart bytes of sockets.
	ln, err := listen()
	if err != nil {
		return nil, fmt.Errorf("answer in place of the application: %w", err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	near, err := u.dial(ctx, ln.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		return nil, fmt.Errorf("answer in place of the application: %w", err)
	}
	deadline, _ := ctx.Deadline()
	ln.SetDeadline(deadline)
	for {
		far, err := ln.AcceptTCP()
		if err != nil {
			near.Close()
			return nil, fmt.Errorf("answer in place of the application: %w", err)
		}
		if far.RemoteAddr().String() == near.LocalAddr().String() {
			go u.serve(far)
			return near, nil
		}
		far.Close() // another process of the pod
	}
}

func listen() (ln *net.TCPListener, err error) {
	for _, ip := range []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} {
		if ln, err = net.ListenTCP("tcp", &net.TCPAddr{IP: ip}); err == nil {
			return ln, nil
		}
	}
	return nil, err
}

// serve answers one connection: HTTP of any version, in TLS too. It closes one that carries
// something else.
func (u *Understudy) serve(c *net.TCPConn) {
	began, err := begin(c)
	if err != nil {
		c.Close()
		return
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	one := &single{conn: began, ended: make(chan struct{})}
	server := &http.Server{Handler: u, Protocols: protocols, IdleTimeout: idleTime, ReadHeaderTimeout: idleTime,
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				one.Close()
			}
		}}
	_ = server.Serve(one) // it ends with the connection
}

// ServeHTTP implements http.Handler.
func (u *Understudy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
		u.serveGRPC(w, r)
	case isKubelets(r) || u.declared(r):
		fmt.Fprintf(w, "The traffic-agent answers: %s.\n", u.why)
	default:
		w.Header().Set("Retry-After", "30")
		http.Error(w, u.why+".", http.StatusServiceUnavailable)
	}
}

// isKubelets says that the kubelet calls itself so.
func isKubelets(r *http.Request) bool { return strings.HasPrefix(r.UserAgent(), "kube-probe/") }

// declared says that a request is that of a probe to which the pod's spec gives a User-Agent.
func (u *Understudy) declared(r *http.Request) bool {
	return slices.ContainsFunc(u.probes, func(p *rpc.Probe) bool {
		return r.Method == http.MethodGet && r.URL.RequestURI() == p.Target && r.UserAgent() == agentOf(p)
	})
}

// agentOf is the User-Agent that the pod's spec gives to a probe; empty for the kubelet's own.
func agentOf(p *rpc.Probe) string {
	for _, h := range p.Headers {
		if strings.EqualFold(h.Name, "User-Agent") {
			return strings.TrimSpace(h.Value)
		}
	}
	return ""
}

// serving is a HealthCheckResponse with the status SERVING, in the framing of gRPC.
const serving = "\x00\x00\x00\x00\x02\x08\x01"

// serveGRPC answers the health check of the kubelet, which no other caller gets: a client that
// chooses among servers by their health is not to choose this one.
func (u *Understudy) serveGRPC(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	const ok, unavailable = "0", "14"
	if isKubelets(r) && r.URL.Path == "/grpc.health.v1.Health/Check" {
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = w.Write([]byte(serving))
		w.Header().Set("Grpc-Status", ok)
		return
	}
	w.Header().Set("Grpc-Status", unavailable)
	w.Header().Set("Grpc-Message", strings.NewReplacer("%", "%25", "\n", " ").Replace(u.why))
}

// single is a listener with one connection.
type single struct {
	conn  net.Conn
	taken bool
	once  sync.Once
	ended chan struct{}
}

// Accept implements net.Listener.
func (s *single) Accept() (net.Conn, error) {
	if !s.taken {
		s.taken = true
		return s.conn, nil
	}
	<-s.ended
	return nil, errors.New("the connection has ended")
}

// Close implements net.Listener.
func (s *single) Close() error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

// Addr implements net.Listener.
func (s *single) Addr() net.Addr { return s.conn.LocalAddr() }
