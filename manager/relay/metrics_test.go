package relay

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

// figures are the metrics of a relay, as `name label=value …`.
func figures(t *testing.T, r *Relay) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewMetrics(r)); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			words := []string{strings.TrimPrefix(f.GetName(), "traffic_manager_")}
			for _, l := range m.Label {
				words = append(words, l.GetName()+"="+l.GetValue())
			}
			got[strings.Join(words, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return got
}

// becomes waits until the figures are those.
func becomes(t *testing.T, r *Relay, want map[string]float64) {
	t.Helper()
	var wrong []string
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		wrong = nil
		got := figures(t, r)
		for name, n := range want {
			if is, there := got[name]; is != n || !there {
				wrong = append(wrong, fmt.Sprintf("%s is %g, want %g", name, is, n))
			}
		}
		if len(wrong) == 0 {
			return
		}
	}
	slices.Sort(wrong)
	t.Fatal(strings.Join(wrong, "\n"))
}

// What a session dials is counted by flow and byte, and a session that ends takes nothing back.
func TestOutboundIsCounted(t *testing.T) {
	l := newLineLab(t)
	echo := l.echo()
	s := l.outboundLine()
	if err := frame.WriteOpen(s, &frame.Open{Kind: frame.Dialed, Target: echo, Session: "alice", First: []byte("first ")}); err != nil {
		t.Fatal(err)
	}
	if v, reason, err := frame.ReadAnswer(s); v != frame.Accepted || err != nil {
		t.Fatal(v, reason, err)
	}
	io.WriteString(s, "second")
	if _, err := io.ReadFull(s, make([]byte, len("first second"))); err != nil {
		t.Fatal(err)
	}
	becomes(t, l.relay, map[string]float64{"sessions": 1, "lines direction=outbound state=assigned": 1,
		"open_flows direction=outbound way=line": 1, "flows_total direction=outbound way=line": 1,
		"flow_bytes_total direction=outbound to=target way=line": 12, "flow_bytes_total direction=outbound to=laptop way=line": 12,
		"open_flows direction=outbound way=carrier": 0, "flow_bytes_total direction=inbound to=laptop way=carrier": 0})
	l.relay.removeCarrier(l.session)
	becomes(t, l.relay, map[string]float64{"sessions": 0, "lines direction=outbound state=assigned": 0,
		"open_flows direction=outbound way=line": 0, "flows_total direction=outbound way=line": 1,
		"flow_bytes_total direction=outbound to=target way=line": 12})
}

// Of a line between agent and session the relay knows how many bytes it moves, and no flows.
func TestLinesAreCounted(t *testing.T) {
	l := newLineLab(t)
	l.serve()
	c, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &quote)
	if err != nil {
		t.Fatal(err)
	}
	if v := flow(t, c, frame.Open{Port: 8080, First: make([]byte, 1000)}); v != frame.Accepted {
		t.Fatal(v)
	}
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	becomes(t, l.relay, map[string]float64{"lines direction=inbound state=assigned": 1, "lines direction=inbound state=idle": 0})
	got := figures(t, l.relay)
	for _, to := range []string{"laptop", "target"} {
		if n := got["flow_bytes_total direction=inbound to="+to+" way=line"]; n < 1000 || n > 10000 {
			t.Errorf("%g bytes to the %s", n, to)
		}
	}
	if _, there := got["open_flows direction=inbound way=line"]; there {
		t.Error("flows are counted that the relay cannot see")
	}
}

// A port-forward ends at the pod's own loopback.
func TestTransportOf(t *testing.T) {
	for address, want := range map[string]string{"127.0.0.1": portForward, "::1": portForward, "10.0.0.1": serviceProxy} {
		c := &from{at: &net.TCPAddr{IP: net.ParseIP(address), Port: 1}}
		totals := newTotals()
		down := totals.carrier(handshake.Inbound, transportOf(c))
		if n := totals.carried()[carrierKind{want, "inbound"}]; n != 1 {
			t.Errorf("%s: %v", address, totals.carried())
		}
		if down(); totals.carried()[carrierKind{want, "inbound"}] != 0 {
			t.Errorf("%s: a carrier is left", address)
		}
	}
}

// from is a connection that comes from an address.
type from struct {
	net.Conn
	at net.Addr
}

func (f *from) RemoteAddr() net.Addr { return f.at }
