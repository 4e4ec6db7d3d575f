package carrier

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/direct"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

func TestDirectAddresses(t *testing.T) {
	for address, want := range map[string][2]bool{ // with a cluster elsewhere, and on this machine
		"10.0.0.1:30443": {true, true}, "203.0.113.9:443": {true, true}, "[fd00::1]:443": {true, true}, "100.64.0.1:443": {true, true},
		"127.0.0.1:443": {false, true}, "[::1]:443": {false, true}, "[::ffff:127.0.0.1]:443": {false, true},
		"169.254.169.254:80": {false, false}, "[fe80::1%eth0]:443": {false, false}, "0.0.0.0:443": {false, false}, "[::]:443": {false, false},
		"224.0.0.1:443": {false, false}, "168.63.129.16:80": {false, false}, "[fd00:ec2::254]:80": {false, false}, "[::ffff:169.254.169.254]:80": {false, false},
		"100.100.100.200:80": {false, false}, "name:443": {false, false},
	} {
		for i, local := range []bool{false, true} {
			if err := acceptable(address, local); (err == nil) != want[i] {
				t.Errorf("%s, local %v: %v", address, local, err)
			}
		}
	}
}

// inTown is a Direct that dials a listener with a certificate. The listener echoes.
func inTown(t *testing.T, shown tls.Certificate, published tls.Certificate, entrance func(address string) string) *Direct {
	t.Helper()
	l := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		if s, _, err := handshake.Accept(context.Background(), c, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &shown, nil },
			handshake.ALPNCarrier, handshake.ALPNOffer); err == nil {
			io.Copy(s, s)
		}
	})
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: managerName}, Data: map[string]string{
		handshake.AuthorityKey: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: published.Certificate[0]})),
		direct.Key:             entrance(l.Addr().String())}}
	c := fakeclient.NewClientBuilder().WithObjects(cm).Build()
	d := NewDirect(Fixed(&rest.Config{Host: "https://127.0.0.1:6443"}), handshake.RandomIdentity(), NewTrust(c, "ns"))
	d.proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	return d
}

func TestDirectDial(t *testing.T) {
	own, foreign := tunneltest.Certificate(t, handshake.ServerName(managerName, "ns")), tunneltest.Certificate(t, handshake.ServerName(managerName, "ns"))
	at := func(e direct.Entrance, also ...string) func(string) string {
		return func(address string) string {
			e.Addresses = append(also, address)
			return e.String()
		}
	}
	const closed = "127.0.0.1:1"
	for _, c := range []struct {
		name     string
		shown    tls.Certificate
		entrance func(string) string
		change   func(*Direct)
		want     string
		possible bool
	}{
		{"it works", own, at(direct.Entrance{}), nil, "", true},
		{"an Ingress", own, at(direct.Entrance{ServerName: "direct.example.com"}), nil, "", true},
		{"one address is closed", own, at(direct.Entrance{}, closed), nil, "", true},
		{"none is offered", own, func(string) string { return "" }, nil, "the cluster offers none", false},
		{"it has no address", own, func(string) string { return `{"problem":"the Service has no address"}` }, nil, "the Service has no address", true},
		{"it cannot be read", own, func(string) string { return `{` }, nil, "direct.json", true},
		{"it is closed", own, func(string) string { return `{"addresses":["` + closed + `"]}` }, nil, "connection refused", true},
		{"it is forged", foreign, at(direct.Entrance{}), nil, "cannot prove that it is the traffic-manager", true},
		{"it is forged behind an Ingress", foreign, at(direct.Entrance{ServerName: "direct.example.com"}), nil, "cannot prove that it is the traffic-manager", true},
		{"there is a proxy", own, at(direct.Entrance{}), func(d *Direct) {
			d.proxy = func(*http.Request) (*url.URL, error) { return url.Parse("http://proxy:3128") }
		}, "is behind the proxy proxy:3128: name it in NO_PROXY", true},
		{"it leads to this machine", own, at(direct.Entrance{}), func(d *Direct) { d.access = Fixed(&rest.Config{Host: "https://10.0.0.1"}) }, "is refused: it is this machine's", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := inTown(t, c.shown, own, c.entrance)
			if c.change != nil {
				c.change(d)
			}
			for _, dial := range []func(context.Context) (net.Conn, error){d.Dial, d.DialLine} {
				conn, err := dial(t.Context())
				switch {
				case c.want == "" && err != nil:
					t.Error(err)
				case c.want == "":
					said := []byte("hello")
					conn.Write(said)
					if _, err := io.ReadFull(conn, said); err != nil || string(said) != "hello" {
						t.Errorf("%q, %v", said, err)
					}
					conn.Close()
				case err == nil || !strings.Contains(err.Error(), c.want) || !Elsewhere(err) || IsNotPossible(err) == c.possible:
					t.Errorf("%v, want %s", err, c.want)
				}
			}
		})
	}
}

// A carrier ends when there is a better transport, but not while there is a flow on it.
func TestDirectMovesIdleCarriers(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := &silentConn{Conn: near}
	flows := make(chan int, 8)
	for _, n := range []int{0, 1, 1, 0} {
		flows <- n
	}
	looks := 0
	s.CountFlows(func() int {
		looks++
		select {
		case n := <-flows:
			return n
		default:
			return 0
		}
	})
	s.closeWhenIdle(t.Context(), func() bool { return true })
	if looks != 5 {
		t.Errorf("it is closed after %d looks", looks)
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v", err)
	}
}
