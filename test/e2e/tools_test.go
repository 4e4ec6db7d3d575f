//go:build e2e

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestTools: the programs of every day work from a connected laptop, and do not
// know that it is one.
func TestTools(t *testing.T) {
	l := lab.New(t, clusters)
	l.LoadTools()
	l.Apply("tools.yaml")
	alice := l.Laptop("alice")
	alice.Intercept("connect")
	pod := l.Pod().Status.PodIP
	l.Until("the Service answers", func() error {
		if o := alice.Quiet("curl -sS --max-time 10 http://tools"); o.Failed {
			return fmt.Errorf("%s", o.Err)
		}
		return nil
	})
	says := func(t *testing.T, line, want string) {
		t.Helper()
		if got := alice.Sh(line); got.Failed || strings.TrimSpace(got.Out) != want {
			t.Errorf("%s: %q, want %q", line, got.Out, want)
		}
	}

	t.Run("psql", func(t *testing.T) {
		const psql = "psql -X -h tools -U postgres -At "
		says(t, psql+`-c "create table t as select n, repeat('x', 1000) as text from generate_series(1, 20000) n" -c "select sum(n) from t"`, "SELECT 20000\n200010000")
		says(t, psql+`-c "copy t to stdout" | `+psql+`-c "create table u (like t)" -c "copy u from stdin" -c "select count(*), sum(length(text)) from u"`,
			"CREATE TABLE\nCOPY 20000\n20000|20000000")
	})

	t.Run("grpc", func(t *testing.T) {
		says(t, "health -check tools:50051 -times 100", "tools:50051 is well, said 200 times")
	})

	t.Run("ping", func(t *testing.T) {
		if o := alice.Sh("ping -n -c 3 -i 0.2 -W 10 -s 1000 " + pod); o.Failed || !strings.Contains(o.Out, " 3 received, 0% packet loss") || !strings.Contains(o.Out, "1008 bytes from "+pod) {
			t.Errorf("a pod: %s%s", o.Out, o.Err)
		}
		// The last address of the node's pods is nobody's.
		nobody := lastOf(netip.PrefixFrom(netip.MustParseAddr(pod), 24))
		if o := alice.Sh(fmt.Sprintf("ping -n -c 2 -i 0.2 -W 2 %s", nobody)); o.Code != 1 || !strings.Contains(o.Out, " 0 received") {
			t.Errorf("an address without a pod: exit code %d, %s%s", o.Code, o.Out, o.Err)
		}
	})

	t.Run("iperf3", func(t *testing.T) {
		for _, flags := range []string{"", "-R", "-P 8", "-u -b 1M -l 1400", "-u -b 1M -l 1400 -R"} {
			var report iperf
			// A busy machine may lose datagrams in a socket of iperf3's own.
			for range 3 {
				out := alice.Sh("iperf3 -J -t 1 -c tools " + flags)
				report = iperf{Failed: out.Failed}
				l.Must(json.Unmarshal([]byte(out.Out), &report))
				if report.good() {
					break
				}
			}
			if !report.good() {
				t.Errorf("iperf3 %s: %+v", flags, report)
			}
		}
	})

	t.Run("dns", func(t *testing.T) {
		says(t, "dig +short @10.96.0.10 kubernetes.default.svc.cluster.local", "10.96.0.1")
		says(t, "dig +short +tcp @10.96.0.10 kubernetes.default.svc.cluster.local", "10.96.0.1")
	})

	t.Run("datagrams", func(t *testing.T) { datagrams(t, alice, l.Service("tools", "echo-udp")) })
}

// iperf is what iperf3 reports.
type iperf struct {
	Failed bool
	Error  string
	End    struct {
		Received struct{ Bytes float64 } `json:"sum_received"`
		Sum      struct {
			Bytes, Packets float64
			Lost           float64 `json:"lost_packets"`
		}
	}
}

// good says that bytes arrived, and of datagrams 19 of 20.
func (r *iperf) good() bool {
	return !r.Failed && r.Error == "" && r.End.Received.Bytes+r.End.Sum.Bytes > 0 && r.End.Sum.Lost <= r.End.Sum.Packets/20
}

// datagrams has 1,400 bytes echoed 1,000 times, 32 at once. That is less than any queue
// on the way is made for, however slow the machine: hardly one may be lost, and none
// changed.
func datagrams(t *testing.T, p *lab.Laptop, addr string) {
	const times, size, prefix, atOnce = 1000, 1400, 2, 32
	c, err := p.Dial(t.Context(), "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	seen, sent := map[uint32]bool{}, 0
	buf := make([]byte, 2*size)
	for lost := 0; len(seen) < times-lost; {
		for ; sent < times && sent < len(seen)+lost+atOnce; sent++ {
			if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(sent)), strings.Repeat("x", size-4)...)); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second)) // the read says
		n, err := c.Read(buf)
		if err != nil {
			lost = sent - len(seen)
			continue
		}
		if n != size+prefix || strings.Trim(string(buf[prefix+4:n]), "x") != "" {
			t.Fatalf("a datagram of %d bytes came back as %d others", size, n)
		}
		seen[binary.BigEndian.Uint32(buf[prefix:])] = true
	}
	if n := len(seen); n < times*98/100 {
		t.Errorf("of %d datagrams %d came back", times, n)
	}
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b).Prev()
}
