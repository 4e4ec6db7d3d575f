package probe

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	agenttls "github.com/kubectl-intercept/kubectl-intercept/agent/tls"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const node, elsewhere = "192.0.2.1", "192.0.2.7"

func classify(c *rpc.CapturePort, from string, first []byte, over bool) Kind {
	c.NodeAddresses = []string{node}
	return Of(c).From(netip.MustParseAddr(from)).Classify(first, over)
}

func port(kinds ...rpc.Probe_Kind) *rpc.CapturePort {
	c := &rpc.CapturePort{}
	for _, k := range kinds {
		c.Probes = append(c.Probes, &rpc.Probe{Kind: k})
	}
	return c
}

// hello is what a client of crypto/tls says first.
func hello(t *testing.T, cfg *tls.Config) []byte {
	t.Helper()
	cfg.InsecureSkipVerify = true
	near, far := net.Pipe()
	go tls.Client(near, cfg).Handshake()
	buf := make([]byte, 16<<10)
	n, err := far.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	near.Close()
	far.Close()
	return buf[:n]
}

func TestClassifyTLS(t *testing.T) {
	kubelet := hello(t, &tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	openssl, err := os.ReadFile("testdata/openssl.hello")
	if err != nil {
		t.Fatal(err)
	}
	https := port(rpc.Probe_HTTPS)
	for _, c := range []struct {
		name  string
		port  *rpc.CapturePort
		from  string
		first []byte
		over  bool
		want  Kind
	}{
		{"the kubelet", https, node, kubelet, false, Probe},
		{"a lifecycle hook", https, node, hello(t, &tls.Config{}), false, Probe},
		{"half of it", https, node, kubelet[:len(kubelet)/2], false, Unknown},
		{"half of it and an end", https, node, kubelet[:len(kubelet)/2], true, Other},
		{"nothing yet", https, node, nil, false, Unknown},
		{"the same from a pod", https, elsewhere, kubelet, false, Other},
		{"nothing yet from a pod", https, elsewhere, nil, false, Other},
		{"a caller who names a server", https, node, hello(t, &tls.Config{ServerName: "quote.shop"}), false, Other},
		{"a gRPC caller", https, node, hello(t, &tls.Config{NextProtos: []string{"h2"}}), false, Other},
		{"OpenSSL through a NodePort", https, node, openssl, false, Other},
		{"plain HTTP", https, node, []byte("GET / HTTP/1.1\r\n"), false, Other},
		{"no TLS", https, node, []byte("\x16nonsense that is longer than the head of a record"), false, Other},
		{"a port that is probed by HTTP", port(rpc.Probe_HTTP), node, kubelet, false, Other},
	} {
		if got := classify(c.port, c.from, c.first, c.over); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	named := port(rpc.Probe_HTTPS)
	named.Probes[0].Host = "quote.shop"
	if got := classify(named, node, hello(t, &tls.Config{ServerName: "quote.shop"}), false); got != Probe {
		t.Errorf("a probe that names a server: %v", got)
	}
}

func TestClassifySilence(t *testing.T) {
	for _, c := range []struct {
		name string
		port *rpc.CapturePort
		from string
		over bool
		want Kind
	}{
		{"tcpSocket", port(rpc.Probe_TCP), node, true, Probe},
		{"a server that speaks first is not kept waiting", port(rpc.Probe_TCP), node, false, Other},
		{"a pod that looks whether the port is open", port(rpc.Probe_TCP), elsewhere, true, Other},
		{"a port without such a probe", port(rpc.Probe_HTTP), node, true, Other},
		{"HTTP, from anywhere", port(rpc.Probe_HTTP), elsewhere, false, Unknown},
		{"gRPC", port(rpc.Probe_GRPC), node, false, Unknown},
		{"gRPC from a pod", port(rpc.Probe_GRPC), elsewhere, false, Other},
	} {
		if got := classify(c.port, c.from, nil, c.over); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if Of(port()) != nil {
		t.Error("a port without probes has some")
	}
	if got := Of(port()).From(netip.MustParseAddr(node)).Classify([]byte("GET"), false); got != Other {
		t.Errorf("a port without probes: %v", got)
	}
}

func TestClassifyPreface(t *testing.T) {
	grpc, preface := port(rpc.Probe_GRPC, rpc.Probe_TCP), []byte(http2.ClientPreface)
	if got := classify(grpc, node, preface[:5], false); got != Unknown {
		t.Errorf("half a preface: %v", got)
	}
	if got := classify(grpc, node, append(slices.Clone(preface), http.Settings()...), false); got != Greet {
		t.Errorf("a preface: %v", got)
	}
	if got := classify(grpc, elsewhere, preface, false); got != Other {
		t.Errorf("a preface from a pod: %v", got)
	}
	if got := classify(grpc, node, []byte("PRICE"), false); got != Other {
		t.Errorf("no preface: %v", got)
	}
}

func TestGateways(t *testing.T) {
	four := gateways4("Iface\tDestination\tGateway\tFlags\neth0\t00000000\t0102F40A\t0003\neth0\t0002F40A\t00000000\t0001\neth1\t00000000\t00000000\t0001\n")
	six := gateways6("00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n" +
		"fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n")
	got := append(four, six...)
	// The words of the first table are the machine's own; this holds where the
	// least byte comes first, as on all that the agent is built for.
	want := []netip.Addr{netip.MustParseAddr("10.244.2.1"), netip.MustParseAddr("fd00::1")}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func FuzzClassify(f *testing.F) {
	f.Add([]byte(http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind := classify(port(rpc.Probe_HTTP, rpc.Probe_HTTPS, rpc.Probe_TCP, rpc.Probe_GRPC), node, b, false)
		if kind == Greet {
			FirstRequest(b)
		}
		if _, err := agenttls.ParseHello(b); err == nil && len(b) == 0 {
			t.Error(errors.New("nothing is a ClientHello"))
		}
	})
}
