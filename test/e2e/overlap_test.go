//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// vpn is a network behind a laptop, as a VPN has one: routed to a machine of
// its own.
type vpn struct {
	t     *testing.T
	p     *lab.Laptop
	space *lab.Space
}

// newVPN makes one without routes. It goes with the test.
func newVPN(t *testing.T, p *lab.Laptop) *vpn {
	t.Helper()
	p.Shell(`ip netns add vpn && ip link add vpn0 type veth peer name vpn1 netns vpn &&
		ip addr add 172.31.0.1/30 dev vpn0 && ip link set vpn0 up &&
		ip -n vpn addr add 172.31.0.2/30 dev vpn1 && ip -n vpn link set vpn1 up && ip -n vpn link set lo up && ip -n vpn addr add 10.96.200.53/32 dev lo`)
	t.Cleanup(func() { // the laptop lasts longer than the test
		cmd := p.ShCommand(context.Background(), "kubectl-intercept disconnect; ip link del vpn0 && ip netns del vpn")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("take the VPN away: %v: %s", err, out)
		}
	})
	return &vpn{t, p, p.NetworkNamespace("vpn")}
}

// route leads a network into the VPN, where a program answers at an address of
// it, until the test ends.
func (v *vpn) route(network string, addr netip.Addr) {
	v.t.Helper()
	v.p.Shell(fmt.Sprintf("ip route add %s via 172.31.0.2 && ip -n vpn addr add %s/32 dev lo", network, addr))
	cmd := v.p.ShCommand(context.Background(), fmt.Sprintf("exec ip netns exec vpn quote -listen=%s:8080 -name='the VPN'", addr))
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if o := v.p.ShCommand(context.Background(), fmt.Sprintf("ip route del %s && ip -n vpn addr del %s/32 dev lo", network, addr)).Run(); o != nil {
			v.t.Errorf("take %s from the VPN: %v", network, o)
		}
	})
}

// TestOverlap: networks that the laptop uses otherwise stay its own, and the
// cluster's part of them is reached all the same.
func TestOverlap(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.ApplyText(peers)
	service := netip.MustParseAddrPort(l.Serving("quote", "http")).Addr()
	alice := l.Laptop("alice")
	v := newVPN(t, alice)
	var pod netip.Addr
	for _, p := range l.Pods() {
		if p.Name == "peer-0" {
			pod = netip.MustParseAddr(p.Status.PodIP)
		}
	}
	near := netip.PrefixFrom(service, 24).Masked() // the VPN's, in the middle of the Services'
	answers := func(t *testing.T, target, who string) {
		t.Helper()
		var o lab.Output
		l.Until(target+" answers", func() error {
			if o = alice.Quiet("curl -sS --max-time 20 http://" + target); o.Failed {
				return fmt.Errorf("%s", o.Err)
			}
			return nil
		})
		if !strings.HasPrefix(o.Out, "answered by "+who+" (") {
			t.Errorf("%s: %s, want %s", target, o.Out, who)
		}
	}
	address := func(t *testing.T, name string) netip.Addr {
		t.Helper()
		a, err := netip.ParseAddr(strings.TrimSpace(alice.Shell("dig +short +search " + name)))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	// connected runs a test while the VPN has a network and the laptop is
	// connected, and looks afterwards that nothing is left.
	connected := func(name string, network netip.Prefix, flags []string, test func(t *testing.T, vpn netip.Addr)) {
		t.Run(name, func(t *testing.T) {
			v := *v
			v.t = t
			own := lastOf(netip.PrefixFrom(service, 24))
			if network.Contains(pod) {
				own = lastOf(netip.PrefixFrom(pod, 24))
			}
			v.route(network.String(), own)
			answers(t, own.String()+":8080", "the VPN")
			before := network4(alice)
			alice.Intercept(append([]string{"connect"}, flags...)...)
			test(t, own)
			alice.Intercept("disconnect")
			if after := network4(alice); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			answers(t, own.String()+":8080", "the VPN")
		})
	}
	overlap := func(t *testing.T, what netip.Prefix) {
		t.Helper()
		if s := alice.Intercept("status").Out; !strings.Contains(s, what.String()+" is this machine's already; the cluster's part appears under ") {
			t.Errorf("status shows no overlap of %s:\n%s", what, s)
		}
	}

	connected("pods", netip.MustParsePrefix("10.244.0.0/16"), nil, func(t *testing.T, own netip.Addr) {
		answers(t, own.String()+":8080", "the VPN")
		answers(t, "quote", lab.Application)
		answers(t, "peer-0.peers:8080", "a peer")
		if a := address(t, "peer-0.peers"); a == pod {
			t.Errorf("peer-0 is at %s, which is the VPN's", a)
		}
		if a := address(t, "quote"); a != service {
			t.Errorf("the Service is at %s, not at %s", a, service)
		}
		overlap(t, netip.PrefixFrom(pod, 24).Masked())
	})

	t.Run("resolver", func(t *testing.T) {
		// The VPN has all of the Services' network, and its name server is there.
		const server = "10.96.200.53"
		own := newResolverAt(t, alice, v.space, server)
		services := netip.MustParsePrefix("10.96.0.0/16")
		alice.Shell("ip route add " + services.String() + " via 172.31.0.2")
		t.Cleanup(func() { _ = alice.ShCommand(context.Background(), "ip route del "+services.String()).Run() })
		before := network4(alice)
		alice.Intercept("connect")
		answers(t, "quote", lab.Application)
		answers(t, "peer-0.peers:8080", "a peer")
		if a := address(t, "quote"); services.Contains(a) {
			t.Errorf("the Service is at %s, which is the VPN's", a)
		}
		if got := strings.TrimSpace(alice.Shell("dig +short www.example.test")); got != elsewhere || len(own.heard("www.example.test.")) == 0 {
			t.Errorf("the VPN's name leads to %q", got)
		}
		if got := strings.TrimSpace(alice.Shell("dig +short www.example.test @" + server)); got != elsewhere {
			t.Errorf("the VPN's name server says %q", got)
		}
		overlap(t, services)
		alice.Intercept("disconnect")
		if after := network4(alice); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})

	connected("Services", near, nil, func(t *testing.T, own netip.Addr) {
		answers(t, own.String()+":8080", "the VPN")
		answers(t, "quote", lab.Application)
		answers(t, "peer-0.peers:8080", "a peer")
		a := address(t, "quote")
		if near.Contains(a) {
			t.Errorf("the Service is at %s, which is the VPN's", a)
		}
		if name := strings.TrimSpace(alice.Shell("dig +short -x " + a.String())); name != "quote."+l.Namespace+".svc.cluster.local." {
			t.Errorf("%s is %q", a, name)
		}
		if a := address(t, "kubernetes.default"); a.String() != "10.96.0.1" && !near.Contains(netip.MustParseAddr("10.96.0.1")) {
			t.Errorf("a Service elsewhere is at %s", a)
		}
		overlap(t, near)
	})

	connected("virtual subnet", near, []string{"--virtual-subnet", "100.64.7.0/24"}, func(t *testing.T, own netip.Addr) {
		answers(t, own.String()+":8080", "the VPN")
		answers(t, "quote", lab.Application)
		if a := address(t, "quote"); !netip.MustParsePrefix("100.64.7.0/24").Contains(a) {
			t.Errorf("the Service is at %s", a)
		}
	})

	connected("allow conflicting", near, []string{"--allow-conflicting", near.String()}, func(t *testing.T, own netip.Addr) {
		answers(t, "quote", lab.Application)
		if a := address(t, "quote"); a != service {
			t.Errorf("the Service is at %s, not at %s", a, service)
		}
		if o := alice.Sh(fmt.Sprintf("curl -sS --max-time 20 http://%s:8080", own)); !refused(o) {
			t.Errorf("an address that the VPN lost: exit code %d, %s%s", o.Code, o.Out, o.Err)
		}
	})

	connected("never proxy", near, []string{"--never-proxy", near.String()}, func(t *testing.T, own netip.Addr) {
		answers(t, own.String()+":8080", "the VPN")
		answers(t, "peer-0.peers:8080", "a peer")
		if o := alice.Sh("curl -sS --max-time 3 http://quote"); !o.Failed {
			t.Errorf("a Service that is left out: %s", o.Out)
		}
		if s := alice.Intercept("status").Out; !strings.Contains(s, "Left out  : "+near.String()+"\n") || strings.Contains(s, "Overlap   :") {
			t.Errorf("status says\n%s", s)
		}
	})

	t.Run("also proxy", func(t *testing.T) { alsoProxy(t, l, alice) })
}

// alsoProxy reaches a machine beside the cluster, which a Service names.
func alsoProxy(t *testing.T, l *lab.Lab, alice *lab.Laptop) {
	var nodes corev1.NodeList
	l.Must(l.Client.List(t.Context(), &nodes))
	host := nodes.Items[1].Status.Addresses[0].Address
	port := says(l, l.Nodes[1], net.JoinHostPort(host, "0"), "from outside\n")
	outsideAt(l, l.Namespace, "database", host, port)
	url := fmt.Sprintf("curl -sS --max-time 20 http://%s:%d", host, port)
	alice.Intercept("connect")
	if o := alice.Sh(url); !o.Failed {
		t.Errorf("without --also-proxy: %s", o.Out)
	}
	byName := fmt.Sprintf("curl -sS --max-time 20 http://database:%d", port)
	if o := alice.Sh(byName); o.Out != "from outside\n" { // at an address of this machine's
		t.Errorf("by its name: %s%s", o.Out, o.Err)
	}
	alice.Intercept("connect", "--also-proxy", host)
	l.Until("the machine beside the cluster answers", func() error {
		for _, ask := range []string{url, byName} {
			if o := alice.Quiet(ask); o.Out != "from outside\n" {
				return fmt.Errorf("%s: %s%s", ask, o.Out, o.Err)
			}
		}
		return nil
	})
	alice.Intercept("disconnect")
}

// network4 is network without what the kernel does by itself with IPv6.
func network4(p *lab.Laptop) string {
	return p.Shell("ip -br -4 addr; ip -4 route show table all; ip rule; cat /etc/resolv.conf")
}
