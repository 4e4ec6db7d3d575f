//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// proxyOf connects a laptop and returns its HTTP proxy.
func proxyOf(p *lab.Laptop) string {
	for line := range strings.Lines(p.Intercept("connect", "--proxy").Out) {
		if v, ok := strings.CutPrefix(line, "export http_proxy="); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// TestOutside: what is outside of the cluster is reached through a headless
// Service without a selector, at its port, and not otherwise.
func TestOutside(t *testing.T) {
	l := lab.New(t, clusters)
	alice := l.Laptop("alice")
	c := browser(alice, proxyOf(alice))
	var nodes corev1.NodeList
	l.Must(l.Client.List(t.Context(), &nodes))
	host := nodes.Items[1].Status.Addresses[0].Address
	ln, err := l.Nodes[1].Listen(net.JoinHostPort(host, "0"))
	l.Must(err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "from outside")
	})}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	port := ln.Addr().(*net.TCPAddr).Port

	// The proxy dials addresses outside itself: the traffic-manager is asked here.
	g, name := alice.Carrier(), alice.Status().Session.Session
	dial := func(port int) error {
		f, err := g.Open(t.Context(), &frame.Open{Kind: frame.Dialed, Session: name, Protocol: frame.TCP, Target: net.JoinHostPort(host, strconv.Itoa(port))})
		l.Must(err)
		defer f.Abort()
		return f.Confirm()
	}
	if err := dial(port); !errors.Is(err, frame.ErrDenied) || !strings.Contains(err.Error(), "is not the address of a Service or pod") {
		t.Errorf("without a Service: %v", err)
	}
	l.Must(l.Client.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "database"},
		Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Port: int32(port)}}}}))
	l.Must(l.Client.Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: l.Namespace, Name: "database-1", Labels: map[string]string{discoveryv1.LabelServiceName: "database"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: ptr.To(int32(port))}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{host}}}}))
	l.Until("the resource outside answers", func() error {
		code, body, err := visit(c, fmt.Sprintf("http://database:%d", port))
		if err != nil || code != http.StatusOK || body != "from outside\n" {
			return fmt.Errorf("%d %q, %w", code, body, err)
		}
		return nil
	})
	// The kubelet of the same machine is none of the Service's business.
	if err := dial(10250); !errors.Is(err, frame.ErrDenied) {
		t.Errorf("another port: %v", err)
	}
}

// TestEcho: pings are answered by the pod itself, where the user may forward
// ports, and a datagram to a port that is closed ends its flow.
func TestEcho(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.Serving("quote", "http")
	alice := l.Laptop("alice")
	proxyOf(alice)
	g, name := alice.Carrier(), alice.Status().Session.Session
	open := func(p frame.Protocol, target string, first []byte) (*mux.OutFlow, error) {
		f, err := g.Open(t.Context(), &frame.Open{Kind: frame.Dialed, Session: name, Protocol: p, Target: target, First: first})
		l.Must(err)
		return f, f.Confirm()
	}
	pod := l.Pod().Status.PodIP
	f, err := open(frame.ICMP, pod, datagram.AppendEcho(nil, 1, []byte("first")))
	l.Must(err)
	near, far := net.Pipe()
	defer near.Close()
	go f.Join(pipeStream{far}, nil)
	l.Must(near.SetDeadline(time.Now().Add(lab.Patience)))
	for seq, payload := range []string{1: "first", 2: "second", 3: strings.Repeat("x", 1400)} {
		if seq == 0 {
			continue
		}
		if seq > 1 {
			l.Must(datagram.Write(near, datagram.AppendEcho(nil, uint16(seq), []byte(payload))))
		}
		buf := make([]byte, 2000)
		n, err := datagram.Read(near, buf)
		l.Must(err)
		if got, reply, err := datagram.ParseEcho(buf[:n]); err != nil || int(got) != seq || string(reply) != payload {
			t.Errorf("echo %d: %d %q, %v", seq, got, reply, err)
		}
	}

	var dns corev1.PodList
	l.Must(l.Client.List(t.Context(), &dns, client.InNamespace("kube-system"), client.MatchingLabels{"k8s-app": "kube-dns"}))
	_, err = open(frame.ICMP, dns.Items[0].Status.PodIP, nil)
	if !errors.Is(err, frame.ErrDenied) || !strings.Contains(err.Error(), `that needs "create pods/portforward" in namespace "kube-system"`) {
		t.Errorf("a pod out of reach: %v", err)
	}
	if _, err = open(frame.TCP, net.JoinHostPort(pod, "9"), nil); !errors.Is(err, frame.ErrRefused) {
		t.Errorf("a port that is closed: %v", err)
	}
	f, err = open(frame.UDP, net.JoinHostPort(pod, "9"), []byte("hello"))
	l.Must(err)
	near, far = net.Pipe()
	defer near.Close()
	ended := make(chan error, 1)
	go func() { ended <- f.Join(pipeStream{far}, nil) }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // the flow's idle time is a minute
	defer cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a datagram to a port that is closed: its flow ends well")
		}
	case <-ctx.Done():
		t.Error("a datagram to a port that is closed: its flow goes on")
	}
}

// pipeStream is a Stream for one side of a pipe.
type pipeStream struct{ net.Conn }

func (p pipeStream) CloseWrite() error { return p.Close() }
func (p pipeStream) Reset()            { p.Close() }

// TestNetworkValues: an installation that may not look at nodes tells of the
// addresses that it sees; what the operator sets reaches the Session, and what
// he opens may be dialed.
func TestNetworkValues(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.Serving("quote", "http")
	var nodes corev1.NodeList
	l.Must(l.Client.List(t.Context(), &nodes))
	host := nodes.Items[1].Status.Addresses[0].Address
	upgrade(l, "--set", "namespaces={"+l.Namespace+"}", "--set", "client.routing.alsoProxySubnets={"+host+"/32}",
		"--set", "client.routing.virtualSubnet=198.19.0.0/16", "--set", "client.dns.mappings[0].name=db.example,client.dns.mappings[0].aliasFor=db.shop")
	alice := l.Laptop("alice")
	c := browser(alice, proxyOf(alice))
	pod := netip.MustParseAddr(l.Pod().Status.PodIP)
	key := client.ObjectKey{Namespace: lab.ManagerNamespace, Name: alice.Status().Session.Session}
	l.Until("the session has the network", func() error {
		var s v1alpha1.Session
		if err := l.Client.Get(t.Context(), key, &s); err != nil {
			return err
		}
		n := s.Status.Network
		if n == nil {
			return errors.New("none yet")
		}
		if len(n.ServiceCIDRs) != 1 || netip.MustParsePrefix(n.ServiceCIDRs[0]).Bits() != 24 ||
			!slices.ContainsFunc(n.PodCIDRs, func(c string) bool { return netip.MustParsePrefix(c).Contains(pod) }) ||
			n.Routing.VirtualSubnet != "198.19.0.0/16" || !slices.Equal(n.Routing.AlsoProxySubnets, []string{host + "/32"}) ||
			!slices.Equal(n.DNS.Mappings, []v1alpha1.DNSMapping{{Name: "db.example", AliasFor: "db.shop"}}) {
			return fmt.Errorf("%+v", n)
		}
		return nil
	})
	// The kubelet, which knows no bearer of no token.
	if code, body, err := visit(c, fmt.Sprintf("https://%s:10250", host)); err != nil || code != http.StatusUnauthorized && code != http.StatusNotFound {
		t.Errorf("an address that the operator opened: %d %q, %v", code, body, err)
	}
}
