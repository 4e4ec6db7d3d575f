package device

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

const (
	// honest is the RTT up to which a program's connect waits for the far side,
	// so that it hears "refused". Beyond, connect returns at once and a
	// refusal is a reset.
	honest = 5 * time.Millisecond
	// firstBytes is how long the open waits for what the program says first,
	// if connect has returned before it.
	firstBytes = 2 * time.Millisecond
	// firstMost is how much of it travels with the open.
	firstMost = 4 << 10
	// udpIdle ends a flow of datagrams.
	udpIdle  = time.Minute
	dialTime = 15 * time.Second
)

// handler answers what programs ask of the network behind the TUN.
type handler struct {
	dialer *outbound.Dialer
	pinger *outbound.Pinger
	// real is the address behind one that a program dialled; false if there is
	// none. Inside says whether both are the cluster's.
	real   func(netip.Addr) (netip.Addr, bool)
	inside func(dialled, real netip.Addr) bool
	// direct dials what is not the cluster's; nil where that cannot come.
	direct func(ctx context.Context, network, addr string) (net.Conn, error)
	// outside says that an address is not the cluster's, and a name of the
	// cluster's stands for it; around dials it where the cluster may not be asked.
	outside func(dialled, real netip.Addr) bool
	around  outbound.Direct
	log     *slog.Logger
}

// TCP implements stack.Handler.
func (h *handler) TCP(ctx context.Context, r *stack.TCPRequest) {
	real, ok := h.real(r.To.Addr())
	if !ok {
		r.Refuse()
		return
	}
	to := netip.AddrPortFrom(real, r.To.Port())
	outside := h.outside(r.To.Addr(), real)
	if !outside && !h.inside(r.To.Addr(), real) {
		h.directTCP(ctx, r, to)
		return
	}
	if h.dialer.Gate.Away() {
		r.Refuse()
		return
	}
	if !outside && h.dialer.RTT() > honest {
		h.early(ctx, r, to)
		return
	}
	dctx, cancel := context.WithTimeout(ctx, dialTime)
	far, err := h.open(dctx, frame.TCP, to, outside)
	cancel()
	switch {
	case err != nil && silent(dctx, err):
		h.log.Debug("connection not answered", "to", to, "error", err)
		r.Drop()
		return
	case err != nil:
		h.log.Debug("connection refused", "to", to, "error", err)
		r.Refuse()
		return
	}
	near, err := r.Accept()
	if err != nil {
		far.Abort()
		return
	}
	h.join(far, near, to)
}

func (h *handler) open(ctx context.Context, p frame.Protocol, to netip.AddrPort, outside bool) (outbound.Conn, error) {
	if outside {
		return h.dialer.OpenOutside(ctx, p, to.String(), h.around)
	}
	return h.dialer.Open(ctx, p, to.String(), nil)
}

// silent says that a program shall hear nothing, as it would inside the
// cluster. Where the cluster was not even asked, it is refused at once.
func silent(ctx context.Context, err error) bool {
	return errors.Is(err, frame.ErrTimedOut) || errors.Is(err, frame.ErrUnreachable) || errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// early lets the program begin before the far side is reached: what it says
// first travels with the open, and no round trip is lost.
func (h *handler) early(ctx context.Context, r *stack.TCPRequest, to netip.AddrPort) {
	near, err := r.Accept()
	if err != nil {
		return
	}
	buf := make([]byte, firstMost)
	near.SetReadDeadline(time.Now().Add(firstBytes))
	n, err := near.Read(buf)
	near.SetReadDeadline(time.Time{})
	var late net.Error
	if err != nil && err != io.EOF && !(errors.As(err, &late) && late.Timeout()) {
		near.Close()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	far, operr := h.dialer.Open(ctx, frame.TCP, to.String(), buf[:n])
	cancel()
	if operr != nil {
		h.log.Debug("connection reset", "to", to, "error", operr)
		near.Reset()
		return
	}
	h.join(far, near, to)
}

func (h *handler) join(far outbound.Conn, near tunnel.Stream, to netip.AddrPort) {
	if err := far.Join(near, nil); err != nil {
		h.log.Debug("connection broke", "to", to, "error", err)
	}
}

func (h *handler) directTCP(ctx context.Context, r *stack.TCPRequest, to netip.AddrPort) {
	if h.direct == nil {
		r.Refuse()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := h.direct(ctx, "tcp", to.String())
	far, ok := c.(*net.TCPConn)
	switch {
	case err != nil && ctx.Err() != nil:
		r.Drop()
		return
	case err != nil || !ok:
		r.Refuse()
		return
	}
	near, err := r.Accept()
	if err != nil {
		far.Close()
		return
	}
	if err := tunnel.Pipe(tunnel.NewTCP(far), near, nil); err != nil {
		h.log.Debug("connection broke", "to", to, "error", err)
	}
}

// UDP implements stack.Handler.
func (h *handler) UDP(ctx context.Context, f *stack.UDPFlow) {
	real, ok := h.real(f.To.Addr())
	to := netip.AddrPortFrom(real, f.To.Port())
	near := datagram.New(f, udpIdle)
	outside := ok && h.outside(f.To.Addr(), real)
	switch {
	case !ok:
		f.Refuse()
	case outside, h.inside(f.To.Addr(), real):
		dctx, cancel := context.WithTimeout(ctx, dialTime)
		far, err := h.open(dctx, frame.UDP, to, outside)
		cancel()
		if err != nil {
			h.log.Debug("datagrams refused", "to", to, "error", err)
			f.Refuse()
			return
		}
		if err := far.Join(untilEnd{near}, nil); err != nil {
			f.Refuse() // as the far side's kernel did
		}
		f.Close()
	case h.direct == nil:
		f.Refuse()
	default:
		c, err := h.direct(ctx, "udp", to.String())
		if err != nil {
			f.Refuse()
			return
		}
		_ = tunnel.Pipe(datagram.New(c, udpIdle), near, nil)
		f.Close()
	}
}

// untilEnd is datagrams that end with the far side: the next datagram of the
// program begins a new flow.
type untilEnd struct{ tunnel.Stream }

// CloseWrite ends both directions.
func (u untilEnd) CloseWrite() error { return u.Close() }

// Ping implements stack.Handler.
func (h *handler) Ping(ctx context.Context, e *stack.Echo) {
	real, ok := h.real(e.To)
	if !ok || !h.inside(e.To, real) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	reply, err := h.pinger.Ping(ctx, e.From, real, e.ID, e.Seq, e.Payload)
	if err == nil {
		err = e.Reply(reply)
	}
	if err != nil {
		h.log.Debug("no echo", "to", real, "error", err)
	}
}
