//go:build rootful

package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// withResolved starts Debian's D-Bus and systemd-resolved, unpacked by make
// deps, on the laptop. It asks 203.0.113.53, and programs ask it.
func (l *laptop) withResolved() {
	l.t.Helper()
	debian, err := filepath.Abs("../bin/debian")
	must(l.t, err)
	daemon := debian + "/lib/systemd/systemd-resolved"
	if _, err := os.Stat(daemon); err != nil {
		l.t.Fatalf("run make deps: %v", err)
	}
	l.write("/etc/bus.conf", `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/></policy></busconfig>`)
	l.sh(`mkdir -p /run/dbus /run/systemd/resolve /etc/systemd
		chown systemd-resolve:systemd-resolve /run/systemd/resolve
		printf '[Resolve]\nDNS=203.0.113.53\nFallbackDNS=\nDNSSEC=no\n' >/etc/systemd/resolved.conf
		ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf`)
	l.start(l.command("dbus-daemon", "--config-file=/etc/bus.conf", "--nofork"))
	l.await("D-Bus", func() (string, bool) {
		return "", l.command("test", "-S", "/run/dbus/system_bus_socket").Run() == nil
	})
	l.start(l.command("env", "LD_LIBRARY_PATH="+debian+"/usr/lib/x86_64-linux-gnu/systemd", daemon))
	l.await("systemd-resolved", func() (string, bool) {
		out, err := l.resolvectl("status")
		return out, err == nil && l.command("test", "-s", "/run/systemd/resolve/resolv.conf").Run() == nil
	})
}

func (l *laptop) resolvectl(args ...string) (string, error) {
	debian, err := filepath.Abs("../bin/debian")
	if err != nil {
		return "", err
	}
	cmd := l.command(append([]string{"env", "LD_LIBRARY_PATH=" + debian + "/usr/lib/x86_64-linux-gnu/systemd", "SYSTEMD_COLORS=0", debian + "/usr/bin/resolvectl"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// link is what systemd-resolved knows of a link, in its own words.
func (l *laptop) link(device string) string {
	var all string
	for _, what := range []string{"dns", "domain", "default-route", "llmnr", "mdns", "dnssec", "dnsovertls"} {
		out, _ := l.resolvectl(what, device)
		all += strings.Join(strings.Fields(what+" "+out), " ") + "\n" // it wraps lines
	}
	return all
}

func TestResolved(t *testing.T) {
	l := newLaptop(t)
	l.withResolved()
	before := l.snapshot()
	netd := l.serve()
	s := l.session()
	n := s.must(handover.OpOpen, config())
	if n.DNSMode != handover.DNSResolved || !slices.Equal(n.Resolvers, []netip.AddrPort{netip.MustParseAddrPort("203.0.113.53:53")}) {
		t.Errorf("got %+v", n)
	}
	got := l.link("intercept0")
	for _, want := range []string{": 198.18.0.2\n", ": shop.svc.cluster.local svc.cluster.local ~cluster.local ~svc ~shop\n",
		"default-route Link", "llmnr Link", "mdns Link", "dnssec Link"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Count(got, ": no\n") != 5 {
		t.Errorf("got\n%s", got)
	}

	// The cluster's names go into the TUN, other names do not.
	ask := func(name string) {
		l.start(l.command(os.Args[0], "udp", "127.0.0.53:53", name))
	}
	ask("www.example.com")
	ask("quote.shop.svc")
	for {
		p := s.ask(order{Op: "read"}).Packet
		if len(p) < 10+28 || p[10]>>4 != 4 || p[10+9] != 17 {
			continue
		}
		if strings.Contains(string(p), "example") {
			t.Fatalf("another name goes to the cluster: %q", p)
		}
		if strings.Contains(string(p), "\x05quote\x04shop\x03svc\x00") {
			break
		}
	}

	// An update replaces; without a server nothing is left.
	c := config()
	c.DNS.Search, c.DNS.Domains = []string{"till.svc.cluster.local"}, nil
	n = s.must(handover.OpUpdate, c)
	if got := l.link("intercept0"); !strings.Contains(got, ": till.svc.cluster.local\n") {
		t.Errorf("got\n%s", got)
	}
	if len(n.Resolvers) != 1 {
		t.Errorf("resolvers %v", n.Resolvers)
	}
	c.DNS = handover.DNS{}
	s.must(handover.OpUpdate, c)
	if got := l.link("intercept0"); strings.Contains(got, "198.18.0.2") || strings.Contains(got, "till") {
		t.Errorf("got\n%s", got)
	}

	s.must(handover.OpUpdate, config())
	netd.kill(t, syscall.SIGKILL)
	s.kill(t, syscall.SIGKILL)
	l.serve()
	l.becomes(before)
	if out, err := l.resolvectl("dns"); err != nil || strings.Contains(out, "198.18") {
		t.Errorf("systemd-resolved: %v %s", err, out)
	}

	// Two clusters at once.
	a, b := l.session(), l.session()
	a.must(handover.OpOpen, config("10.96.0.0/12"))
	second := config("10.112.0.0/12")
	second.Addresses = prefixes("198.18.0.5/30")
	second.DNS.Server = netip.MustParseAddr("198.18.0.6")
	if n := b.must(handover.OpOpen, second); n.DNSMode != handover.DNSResolved || len(n.Resolvers) != 1 || n.Resolvers[0].String() != "203.0.113.53:53" {
		t.Errorf("got %+v", n)
	}
	a.must(handover.OpClose, handover.Config{})
	if got := l.link("intercept1"); !strings.Contains(got, ": 198.18.0.6\n") {
		t.Errorf("got\n%s", got)
	}
	b.kill(t, syscall.SIGKILL)
	l.becomes(before)
}

// Where programs do not ask systemd-resolved, it alone would not help.
func TestResolvedThatNobodyAsks(t *testing.T) {
	l := newLaptop(t)
	l.withResolved()
	l.sh("ln -sf ../run/systemd/resolve/resolv.conf /etc/resolv.conf")
	before := l.snapshot()
	l.serve()
	s := l.session()
	n := s.must(handover.OpOpen, config())
	if n.DNSMode != handover.DNSResolvConf || !slices.Equal(n.Resolvers, []netip.AddrPort{netip.MustParseAddrPort("203.0.113.53:53")}) {
		t.Errorf("got %+v", n)
	}
	s.must(handover.OpClose, handover.Config{})
	l.becomes(before)
}
