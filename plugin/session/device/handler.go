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
	// waitRTT is the RTT up to which a program's connect waits for the far side, so
	// that it fails with "refused". With a longer RTT, connect returns at once, and a
	// refusal resets the connection.
	waitRTT = 5 * time.Millisecond
	// firstWait is how long the open waits for the program's first bytes, if connect
	// has returned.
	firstWait = 2 * time.Millisecond
	// maxFirst is how many of them travel with the open.
	maxFirst = 4 << 10
	// udpIdle ends a flow of datagrams.
	udpIdle  = time.Minute
	dialTime = 15 * time.Second
)

// handler serves the connections, datagrams and echoes of programs on the TUN.
type handler struct {
	dialer *outbound.Dialer
	pinger *outbound.Pinger
	// real returns the address for which one that a program dialed stands, and
	// whether there is one. inCluster says whether the program means the cluster.
	real      func(netip.Addr) (netip.Addr, bool)
	inCluster func(dialed, real netip.Addr) bool
	// direct dials what is not the cluster's; nil if that is not routed into the TUN.
	direct func(ctx context.Context, network, addr string) (net.Conn, error)
	// external says that an address is not the cluster's, and that a name of the
	// cluster stands for it. dialExternal dials it where the user may not dial it
	// through the cluster.
	external     func(dialed, real netip.Addr) bool
	dialExternal outbound.Direct
	log          *slog.Logger
}

// TCP implements stack.Handler.
func (h *handler) TCP(ctx context.Context, r *stack.TCPRequest) {
	real, ok := h.real(r.To.Addr())
	if !ok {
		r.Refuse()
		return
	}
	to := netip.AddrPortFrom(real, r.To.Port())
	external := h.external(r.To.Addr(), real)
	if !external && !h.inCluster(r.To.Addr(), real) {
		h.directTCP(ctx, r, to)
		return
	}
	if h.dialer.Gate.Away() {
		r.Refuse()
		return
	}
	if !external && h.dialer.RTT() > waitRTT {
		h.early(ctx, r, to)
		return
	}
	dctx, cancel := context.WithTimeout(ctx, dialTime)
	far, err := h.open(dctx, frame.TCP, to, external)
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

func (h *handler) open(ctx context.Context, p frame.Protocol, to netip.AddrPort, external bool) (outbound.Conn, error) {
	if external {
		return h.dialer.OpenExternal(ctx, p, to.String(), h.dialExternal)
	}
	return h.dialer.Open(ctx, p, to.String(), nil)
}

// silent says that a program gets no answer, as in a pod. If the cluster
// was not asked, the program is refused at once.
func silent(ctx context.Context, err error) bool {
	return errors.Is(err, frame.ErrTimedOut) || errors.Is(err, frame.ErrUnreachable) || errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// early accepts the program's connection before the far side is reached. The program's
// first bytes travel with the open, which saves a round trip.
func (h *handler) early(ctx context.Context, r *stack.TCPRequest, to netip.AddrPort) {
	near, err := r.Accept()
	if err != nil {
		return
	}
	buf := make([]byte, maxFirst)
	near.SetReadDeadline(time.Now().Add(firstWait))
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
	external := ok && h.external(f.To.Addr(), real)
	switch {
	case !ok:
		f.Refuse()
	case external, h.inCluster(f.To.Addr(), real):
		dctx, cancel := context.WithTimeout(ctx, dialTime)
		far, err := h.open(dctx, frame.UDP, to, external)
		cancel()
		if err != nil {
			h.log.Debug("datagrams refused", "to", to, "error", err)
			f.Refuse()
			return
		}
		if err := far.Join(untilEnd{near}, nil); err != nil {
			f.Refuse() // the far side's kernel refused it
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

// untilEnd is a flow of datagrams that ends with the far side. The program's next
// datagram begins another one.
type untilEnd struct{ tunnel.Stream }

// CloseWrite ends both directions.
func (u untilEnd) CloseWrite() error { return u.Close() }

// Ping implements stack.Handler.
func (h *handler) Ping(ctx context.Context, e *stack.Echo) {
	real, ok := h.real(e.To)
	if !ok || !h.inCluster(e.To, real) {
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
