package topod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

const (
	// dialTime bounds reaching the pod.
	dialTime = 15 * time.Second
	// idle ends what a program sends by UDP and receives.
	idle = time.Minute
)

// Set is the ports of all intercepts of a session. It is safe for concurrent use.
type Set struct {
	ctx context.Context
	log *slog.Logger

	mu  sync.Mutex
	all map[string]*served // by the intercept's "namespace/name"
}

// served is the ports of one intercept.
type served struct {
	socket, ports string
	stop          context.CancelFunc
	closers       []func() error
}

// New returns no ports. All that are opened close when ctx ends.
func New(ctx context.Context, log *slog.Logger) *Set {
	return &Set{ctx: ctx, log: log, all: map[string]*served{}}
}

// Serve makes the ports of an intercept those that Format has made a text of, at this
// machine's localhost or, if there is a socket, at that of the program behind it
// (netd/handover). Flows go into the pod. After an error the intercept has none.
func (s *Set) Serve(ctx context.Context, intercept, socket, ports string, pod outbound.Opener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.all[intercept]
	if before != nil && before.socket == socket && before.ports == ports {
		return nil
	}
	s.end(intercept)
	list, err := unformat(ports)
	if err != nil || len(list) == 0 {
		return err
	}
	running, stop := context.WithCancel(s.ctx)
	now := &served{socket: socket, ports: ports, stop: stop}
	s.all[intercept] = now
	from := place(local{})
	if socket != "" {
		client, err := handover.Dial(ctx, socket)
		if err != nil {
			s.end(intercept)
			return err
		}
		now.closers = append(now.closers, client.Close)
		from = client
	}
	for _, p := range list {
		if err := now.open(ctx, running, from, p, &leader{pod: pod, port: p, log: s.log.With("intercept", intercept, "port", p.String())}); err != nil {
			s.end(intercept)
			return fmt.Errorf("--to-pod %s: %w", p, err)
		}
	}
	return nil
}

// Keep ends the ports of all intercepts but these.
func (s *Set) Keep(intercepts map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.all {
		if !intercepts[name] {
			s.end(name)
		}
	}
}

// Close ends all ports.
func (s *Set) Close() { s.Keep(nil) }

// end ends the ports of an intercept; s.mu is held.
func (s *Set) end(intercept string) {
	if x := s.all[intercept]; x != nil {
		delete(s.all, intercept)
		x.stop()
		for _, c := range x.closers {
			_ = c() // it has nothing to undo
		}
	}
}

// place is a localhost.
type place interface {
	ListenInside(ctx context.Context, port uint16) (net.Listener, error)
	ListenPacketInside(ctx context.Context, port uint16) (net.PacketConn, error)
}

// local is this machine's localhost.
type local struct{}

func (local) ListenInside(ctx context.Context, port uint16) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // bytes are moved by the kernel where both ends are TCP
	return lc.Listen(ctx, "tcp", at(port))
}

func (local) ListenPacketInside(ctx context.Context, port uint16) (net.PacketConn, error) {
	return (&net.ListenConfig{}).ListenPacket(ctx, "udp", at(port))
}

func at(port uint16) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))) }

// open listens at a port until running ends.
func (x *served) open(ctx, running context.Context, from place, p Port, to *leader) error {
	if p.Protocol == frame.UDP {
		c, err := from.ListenPacketInside(ctx, p.Number)
		if err != nil {
			return err
		}
		x.closers = append(x.closers, c.Close)
		go to.datagrams(running, c)
		return nil
	}
	l, err := from.ListenInside(ctx, p.Number)
	if err != nil {
		return err
	}
	x.closers = append(x.closers, l.Close)
	go to.connections(running, l)
	return nil
}

// leader leads what comes to a port into the pod.
type leader struct {
	pod  outbound.Opener
	port Port
	log  *slog.Logger
}

func (l *leader) open(ctx context.Context, first []byte) (tunnel.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	return l.pod.Open(ctx, l.port.Protocol, frame.TargetLocalhost+strconv.Itoa(int(l.port.Number)), first)
}

func (l *leader) connections(ctx context.Context, from net.Listener) {
	for {
		c, err := from.Accept()
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		tcp, ok := c.(*net.TCPConn)
		if err != nil || !ok {
			l.log.Warn("a port that leads into the pod ends", "error", err)
			return
		}
		go l.connection(ctx, tunnel.NewTCP(tcp))
	}
}

// connection ends with a reset if nothing listens in the pod.
func (l *leader) connection(ctx context.Context, near tunnel.Stream) {
	far, err := l.open(ctx, nil)
	if err != nil {
		l.log.Debug("connection refused", "error", err)
		near.Reset()
		return
	}
	stop := context.AfterFunc(ctx, far.Reset)
	defer stop()
	_ = tunnel.Pipe(near, far, nil) // both ends know
}

// datagrams gives each sender a flow of its own, and sends back what the flow brings.
func (l *leader) datagrams(ctx context.Context, from net.PacketConn) {
	var mu sync.Mutex
	flows := map[string]*conversation{}
	buf := make([]byte, datagram.Max)
	for {
		n, sender, err := from.ReadFrom(buf)
		if err != nil {
			return
		}
		mu.Lock()
		c := flows[sender.String()]
		if c == nil {
			c = &conversation{to: sender, port: from, in: make(chan []byte, backlog), ended: make(chan struct{})}
			flows[sender.String()] = c
			go func() {
				l.converse(ctx, c)
				mu.Lock()
				defer mu.Unlock()
				delete(flows, sender.String())
			}()
		}
		mu.Unlock()
		select {
		case c.in <- append([]byte(nil), buf[:n]...):
		default: // a datagram may get lost
		}
	}
}

// converse opens a flow for a sender, with its first datagram, and serves it until it ends.
func (l *leader) converse(ctx context.Context, c *conversation) {
	far, err := l.open(ctx, <-c.in)
	if err != nil {
		l.log.Debug("datagrams refused", "error", err)
		return
	}
	stop := context.AfterFunc(ctx, far.Reset)
	defer stop()
	_ = tunnel.Pipe(datagram.New(c, idle), far, nil) // the sender hears nothing, as with any UDP
}
