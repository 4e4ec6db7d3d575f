package udp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
)

func TestReadDatagram(t *testing.T) {
	var w bytes.Buffer
	large := bytes.Repeat([]byte("x"), datagram.Max)
	for _, p := range [][]byte{[]byte("one"), {}, large, []byte("two")} {
		if err := datagram.Write(&w, p); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 4)
	for _, want := range [][]byte{[]byte("one"), {}, large, []byte("two")} {
		var err error
		if buf, err = readDatagram(&w, buf); err != nil || !bytes.Equal(buf, want) {
			t.Fatalf("%d bytes, %v, want %d", len(buf), err, len(want))
		}
	}
	if _, err := readDatagram(&w, buf); err == nil {
		t.Error("no error at the end")
	}
}

// The answer to a datagram comes from the address that the datagram was sent to.
func TestLocalAddress(t *testing.T) {
	for _, host := range []string{"127.0.0.7", "::1"} {
		lc := net.ListenConfig{Control: tellLocalAddress}
		pc, err := lc.ListenPacket(context.Background(), "udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		c := pc.(*net.UDPConn)
		port := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		to := netip.AddrPortFrom(netip.MustParseAddr(host), port)
		caller, err := net.Dial("udp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		defer caller.Close()
		caller.Write([]byte("x"))
		buf, oob := make([]byte, 10), make([]byte, 128)
		_, n, _, from, err := c.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			t.Fatal(err)
		}
		local := localAddress(oob[:n])
		if local != to.Addr() {
			t.Fatalf("came to %v, want %v", local, to.Addr())
		}
		if _, _, err := c.WriteMsgUDPAddrPort([]byte("y"), fromAddress(local), from); err != nil {
			t.Fatal(err)
		}
		if _, err := caller.Read(buf); err != nil { // a connected socket drops datagrams from other addresses
			t.Fatal(err)
		}
	}
}

// broken is a stream to the laptop that does not carry anything.
type broken struct {
	tunnel.Stream
	read, write error
	reset       chan struct{}
}

func (b *broken) Read([]byte) (int, error) {
	if b.write != nil {
		<-b.reset
	}
	return 0, b.read
}
func (b *broken) Write([]byte) (int, error) { return 0, b.write }
func (b *broken) Reset()                    { close(b.reset) }
func (b *broken) Close() error              { return nil }

// TestOnlyAResetIsRefusal: a stream that breaks says nothing about the program's port,
// unless the laptop has reset it. Reader or writer may see the reset.
func TestOnlyAResetIsRefusal(t *testing.T) {
	for name, tt := range map[string]struct {
		read, write error
		refused     bool
	}{
		"reset, read":        {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, nil, true},
		"reset, written":     {net.ErrClosed, &net.OpError{Op: "write", Err: syscall.ECONNRESET}, true},
		"the relay has gone": {io.ErrUnexpectedEOF, nil, false},
		"no sign of life":    {os.ErrDeadlineExceeded, nil, false},
	} {
		l := &Listener{flows: map[key]*flow{}}
		to := forward.NewPort(t.Context(), 53, nil, nil, slog.New(slog.DiscardHandler))
		to.Set(&rpc.CapturePort{Routes: []*rpc.Route{{InterceptUid: "i"}}})
		f := newFlow(t.Context(), key{}, to.Pick())
		err := l.toLaptop(f, &broken{read: tt.read, write: tt.write, reset: make(chan struct{})}, []byte("x"), tt.write == nil)
		if err == nil || errors.Is(notTaken(err), relay.ErrRefused) != tt.refused {
			t.Errorf("%s: %v", name, err)
		}
		l.wg.Wait()
	}
}

// TestQuietestFlowEnds: where there are too many flows, a new one takes the place of
// the one that has been silent for longest.
func TestQuietestFlowEnds(t *testing.T) {
	l := &Listener{flows: map[key]*flow{}}
	for port := range uint16(compared) {
		k := key{source: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), 1000+port)}
		l.flows[k] = newFlow(t.Context(), k, nil)
		l.flows[k].last.Store(int64(100 + port))
	}
	var quiet *flow
	for _, f := range l.flows {
		quiet = f
	}
	quiet.last.Store(1)
	l.endQuietest()
	if quiet.ctx.Err() == nil || len(l.flows) != compared-1 || l.flows[quiet.key] != nil {
		t.Error("it lives on")
	}
	next := newFlow(t.Context(), quiet.key, nil)
	l.flows[quiet.key] = next
	l.forget(quiet)
	if l.flows[quiet.key] != next {
		t.Error("its end removes the flow that came in its place")
	}
}

// TestLeave: no route outlives the listener that it was for.
func TestLeave(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	to := forward.NewPort(t.Context(), 53, nil, nil, log)
	l, err := Listen(t.Context(), Config{}, to, log)
	if err != nil {
		t.Fatal(err)
	}
	l.Route(&rpc.CapturePort{Routes: []*rpc.Route{{InterceptUid: "i"}}})
	r := to.Pick()
	if r.Left() {
		t.Error("it has left at once")
	}
	l.Leave()
	l.Close(t.Context())
	if !r.Left() || to.Pick() != nil {
		t.Error("the route has not left")
	}
}
