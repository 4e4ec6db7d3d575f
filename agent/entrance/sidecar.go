package entrance

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/agent/app"
	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/agent/ports"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	"github.com/kubectl-intercept/kubectl-intercept/agent/udp"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Sidecar is the entrance of an agent that its pod was made with. It needs no
// privilege, and listens for as long as the pod lives. Where the agent has a
// port's name, or a mesh's proxy calls it, callers always come here, and the
// application gets those of ports that are not open. Where callers know the
// number, the rules that Redirect wrote in an init container bring TCP here only
// while the agent knocks. So nothing stands between callers and application
// otherwise, or when the agent is gone.
type Sidecar struct {
	ctx   context.Context
	pod   []netip.Addr
	log   *slog.Logger
	ports []*sidecarPort
}

// sidecarPort is one port of the layout.
type sidecarPort struct {
	rpc.SidecarPort
	listener ports.Listener
	// closed is called when the port is closed; nil if it is not open.
	closed context.CancelFunc
	kept   bool // connections from before it was opened were kept
}

var _ ports.Entrance = (*Sidecar)(nil)

// ListenSidecar listens for all ports of a layout. Pod are the pod's addresses. A
// port that cannot be listened on is an error, since callers may come there.
func ListenSidecar(ctx context.Context, pod []netip.Addr, layout *rpc.Sidecar, opener forward.Opener, log *slog.Logger) (*Sidecar, error) {
	s := &Sidecar{ctx: ctx, pod: pod, log: log}
	for _, p := range layout.Ports {
		to := forward.NewPort(ctx, p.Number, opener, app.DialTCPPlain, log)
		var l ports.Listener
		var err error
		if protocol(p) == capture.UDP {
			l, err = listener(udp.Listen(ctx, udp.Config{At: p.Agent, Pod: pod, Dial: app.DialUDPPlain}, to, log))
		} else {
			l, err = listener(tcp.Listen(ctx, tcp.Config{At: p.Agent, Dialed: dialed(p, pod)}, to, log))
		}
		if err != nil {
			return nil, fmt.Errorf("take port %s: %w", p, err)
		}
		s.ports = append(s.ports, &sidecarPort{SidecarPort: p, listener: l})
	}
	return s, nil
}

// dialed is how a listener finds out where a caller meant to connect to.
func dialed(p rpc.SidecarPort, pod []netip.Addr) func(*net.TCPConn) (netip.AddrPort, bool) {
	if p.Redirect {
		return capture.Dialed(p.Number)
	}
	// A caller that came by the port's name meant the application at the same
	// address. A mesh's proxy calls the agent at the loopback address where it would
	// have called the application at the pod's.
	return func(c *net.TCPConn) (netip.AddrPort, bool) {
		to := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		same := func(a netip.Addr) bool { return a.Is4() == to.Is4() }
		if k := slices.IndexFunc(pod, same); k >= 0 && p.Mesh {
			to = pod[k]
		}
		return netip.AddrPortFrom(to, p.Number), true
	}
}

// lasting is a listener that is there as long as the pod. When its port is given
// back, the application has all connections.
type lasting struct{ ports.Listener }

// Leave implements ports.Listener.
func (l lasting) Leave() { l.Route(nil) }

// Close implements ports.Listener: Sidecar.Close closes the listener.
func (l lasting) Close(context.Context) {}

// Listen implements ports.Entrance.
func (s *Sidecar) Listen(number uint16, protocol capture.Protocol) (ports.Listener, error) {
	if p := s.port(number, protocol); p != nil {
		return lasting{p.listener}, nil
	}
	return nil, fmt.Errorf("port %d/%s is not one that the sidecar was made for", number, protocol)
}

func (s *Sidecar) port(number uint16, proto capture.Protocol) *sidecarPort {
	k := slices.IndexFunc(s.ports, func(p *sidecarPort) bool { return p.Number == number && protocol(p.SidecarPort) == proto })
	if k < 0 {
		return nil
	}
	return s.ports[k]
}

// Open implements ports.Entrance.
func (s *Sidecar) Open(wanted []capture.Port) error {
	for _, p := range s.ports {
		k := slices.IndexFunc(wanted, func(w capture.Port) bool { return s.port(w.Number, w.Protocol) == p })
		switch {
		case k < 0 && p.closed != nil:
			p.closed()
			p.closed = nil
		case k >= 0 && p.closed == nil:
			s.open(p, wanted[k])
		case k >= 0 && p.kept && !wanted[k].KeepEstablished: // an intercept has come to a mirror
			p.closed()
			s.open(p, wanted[k])
		}
	}
	return nil
}

// open brings the callers of one port here.
func (s *Sidecar) open(p *sidecarPort, wanted capture.Port) {
	ctx, cancel := context.WithCancel(s.ctx)
	p.closed, p.kept = cancel, wanted.KeepEstablished
	l, ok := p.listener.(*tcp.Listener)
	if !ok {
		return // UDP has no connections that could be moved later: it comes here always
	}
	if p.Redirect {
		go s.knock(ctx, p.SidecarPort, wanted)
	}
	if !wanted.KeepEstablished {
		l.EndApplication()
	}
}

// Check implements ports.Entrance. A port without a redirect has the name that
// callers use, or the mesh brings them here.
func (s *Sidecar) Check(p capture.Port) func(context.Context, *capture.ProofBook) error {
	if !s.port(p.Number, p.Protocol).Redirect {
		return nil
	}
	return func(ctx context.Context, book *capture.ProofBook) error {
		return capture.CheckRedirectUnprivileged(ctx, p, s.pod, book)
	}
}

// Idle implements ports.Entrance. Open has done everything already.
func (s *Sidecar) Idle() {}

// Close implements ports.Entrance. It serves on until all connections have ended,
// or ctx has.
func (s *Sidecar) Close(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range s.ports {
		wg.Go(func() {
			if _, ok := p.listener.(*udp.Listener); ok {
				p.listener.Leave()
			}
			p.listener.Close(ctx)
		})
	}
	wg.Wait()
}

func protocol(p rpc.SidecarPort) capture.Protocol {
	if p.Protocol == "UDP" {
		return capture.UDP
	}
	return capture.TCP
}
