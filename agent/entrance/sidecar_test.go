package entrance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/ports"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// laptop is where every flow goes. It keeps nothing warm.
type laptop struct{ addr *net.TCPAddr }

func (l laptop) Keep([]relay.Owner) {}

// Open implements forward.Opener.
func (l laptop) Open(_ context.Context, _ *relay.Owner, open *frame.Open) (tunnel.Stream, error) {
	c, err := net.DialTCP("tcp", nil, l.addr)
	if err != nil {
		return nil, err
	}
	c.Write(open.First)
	return tunnel.NewTCP(c), nil
}

// Where the agent has a port's name, it listens whether or not the port is captured,
// and a captured port needs no proof.
func TestSidecarByName(t *testing.T) {
	application, free := tunneltest.Named(t, "app"), tunneltest.Named(t, "nobody")
	layout := &rpc.Sidecar{UID: 1, Ports: []rpc.SidecarPort{{Name: "http", Number: uint16(application.Port), Protocol: "TCP"}}}
	to, log := laptop{tunneltest.Named(t, "laptop")}, slog.New(slog.DiscardHandler)
	sidecar, err := ListenSidecar(t.Context(), []netip.Addr{netip.MustParseAddr("127.0.0.1")}, layout, to, log)
	if err != nil {
		t.Fatal(err)
	}
	set := ports.New(t.Context(), sidecar, to, true, log)
	agent := fmt.Sprintf("127.0.0.1:%d", sidecar.ports[0].listener.Agent())
	call := func() (net.Conn, func(who string)) {
		t.Helper()
		c, err := net.Dial("tcp", agent)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		in := bufio.NewReader(c)
		return c, func(who string) {
			t.Helper()
			fmt.Fprintln(c, "hello")
			if got, err := in.ReadString('\n'); got != who+" hello\n" {
				t.Errorf("answered %q, %v, not by %s", got, err, who)
			}
		}
	}
	captured := func(number int) *rpc.CapturePort {
		return &rpc.CapturePort{Port: uint32(number), Routes: []*rpc.Route{{InterceptUid: "i", Session: "alice", Relays: []string{"relay"}}}}
	}
	before, answered := call()
	answered("app")
	set.Apply(&rpc.AgentConfig{Ports: []*rpc.CapturePort{captured(application.Port), captured(free.Port)}})
	for _, r := range set.Report().Routes {
		if r.Port == uint32(application.Port) && r.State != rpc.PortState_VERIFIED ||
			r.Port != uint32(application.Port) && (r.State != rpc.PortState_FAILED || !strings.HasSuffix(r.Message, "the sidecar was made for")) {
			t.Errorf("reported as %v", r)
		}
	}
	if _, err := before.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection from before ends with %v", err)
	}
	laptops, answered := call()
	answered("laptop")
	set.Apply(&rpc.AgentConfig{})
	if _, err := laptops.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the laptop's connection ends with %v", err)
	}
	last, answered := call()
	answered("app")
	keep := captured(application.Port)
	keep.KeepEstablished = true
	set.Apply(&rpc.AgentConfig{Ports: []*rpc.CapturePort{keep}})
	answered("app")
	last.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(last); len(rest) > 0 || err != nil {
		t.Errorf("the end of a connection is %q, %v", rest, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	set.Close(over)
	if c, err := net.Dial("tcp", agent); err == nil {
		c.Close()
		t.Error("the closed entrance listens")
	}
}
