//go:build rootful

package main

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

func TestOpenAndClose(t *testing.T) {
	l := newLaptop(t)
	before := l.snapshot()
	netd := l.serve("--once")
	s := l.session()
	n := s.must(handover.OpOpen, config())
	if n.Interface != "intercept0" || !n.Offload || n.DNSMode != handover.DNSResolvConf || n.Version != "1.2.3-test" || len(n.Skipped) != 0 {
		t.Errorf("got %+v", n)
	}
	if want := []netip.AddrPort{netip.MustParseAddrPort("203.0.113.53:53")}; !slices.Equal(n.Resolvers, want) {
		t.Errorf("resolvers %v, want %v", n.Resolvers, want)
	}
	if got, want := l.routes("intercept0"), []string{"10.244.0.0/16", "10.96.0.0/12", "fd10::/112"}; !slices.Equal(got, want) {
		t.Errorf("routes %v, want %v", got, want)
	}
	link := l.run("ip", "-d", "link", "show", "intercept0")
	for _, want := range []string{"mtu 1500", "vnet_hdr on", "persist off", "type tun"} {
		if !strings.Contains(link, want) {
			t.Errorf("no %q in %s", want, link)
		}
	}
	if got := l.run("ip", "route", "get", "10.96.0.1"); !strings.Contains(got, "dev intercept0 src 198.18.0.1") {
		t.Errorf("10.96.0.1: %s", got)
	}
	conf := l.read("/etc/resolv.conf")
	for _, want := range []string{"nameserver 198.18.0.2\n", "search shop.svc.cluster.local svc.cluster.local corp.example\n", "options timeout:1 ndots:5\n"} {
		if !strings.Contains(conf, want) {
			t.Errorf("no %q in %s", want, conf)
		}
	}
	if strings.Contains(conf, "203.0.113.53") {
		t.Errorf("programs may still ask the laptop's resolver: %s", conf)
	}
	s.must(handover.OpClose, handover.Config{})
	l.becomes(before)
	if err := netd.ends(t); err != nil {
		t.Errorf("netd: %v\n%s", err, netd.log)
	}
	if out, err := l.command("ls", socket).CombinedOutput(); err == nil {
		t.Errorf("the socket stays: %s", out)
	}
}

// A packet goes through the descriptor both ways, with its header.
func TestPackets(t *testing.T) {
	l := newLaptop(t)
	l.serve()
	s := l.session()
	s.must(handover.OpOpen, config("10.96.0.0/12"))
	ping := l.start(l.command(os.Args[0], "udp", "10.96.0.7:9"))
	for {
		p := s.ask(order{Op: "read"}).Packet
		if len(p) < 10+28 || p[10]>>4 != 4 || p[10+9] != 17 {
			continue // neighbors of IPv6 are being looked for
		}
		if got := netip.AddrFrom4([4]byte(p[10+16 : 10+20])); got != netip.MustParseAddr("10.96.0.7") || string(p[len(p)-4:]) != "ping" {
			t.Fatalf("read % x", p)
		}
		// Back to whom it came from: addresses and ports swapped.
		answer := slices.Concat(make([]byte, 10), p[10:22], p[26:30], p[22:26], p[32:34], p[30:32], p[34:36], []byte{0, 0}, []byte("pong"))
		if r := s.ask(order{Op: "write", Packet: answer}); r.Error != "" {
			t.Fatal(r.Error)
		}
		break
	}
	if err := ping.ends(t); err != nil {
		t.Errorf("no answer came: %v\n%s", err, ping.log)
	}
}

// connect starts a program that waits for an answer through the TUN.
func (l *laptop) connect(addr string) *process {
	l.t.Helper()
	p := l.start(l.command("bash", "-c", "exec 3<>/dev/tcp/"+addr+"/80"))
	const waiting = "02" // TCP_SYN_SENT
	file := "/proc/net/tcp"
	if strings.Contains(addr, ":") {
		file = "/proc/net/tcp6"
	}
	l.await("a connection to "+addr, func() (string, bool) {
		s := l.read(file)
		for line := range strings.Lines(s) {
			if f := strings.Fields(line); len(f) > 3 && f[3] == waiting {
				return s, true
			}
		}
		return s, false
	})
	return p
}

// Who dies, in which way: the laptop is as before, at once or when the next
// netd starts.
func TestDeaths(t *testing.T) {
	tests := map[string]struct {
		die  func(t *testing.T, netd, s *process)
		next bool // the next start has to clean up
	}{
		"session":    {func(t *testing.T, _, s *process) { s.kill(t, syscall.SIGKILL) }, false},
		"netd asked": {func(t *testing.T, netd, _ *process) { netd.kill(t, syscall.SIGTERM) }, false},
		"netd":       {func(t *testing.T, netd, _ *process) { netd.kill(t, syscall.SIGKILL) }, true},
		"netd, then session": {func(t *testing.T, netd, s *process) {
			netd.kill(t, syscall.SIGKILL)
			s.kill(t, syscall.SIGKILL)
		}, true},
		"session stopped, netd": {func(t *testing.T, netd, s *process) {
			must(t, s.Process.Signal(syscall.SIGSTOP)) // it keeps the descriptor
			netd.kill(t, syscall.SIGKILL)
		}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			before := l.snapshot()
			netd := l.serve()
			s := l.session()
			s.must(handover.OpOpen, config())
			open := []*process{l.connect("10.96.0.7"), l.connect("fd10::7")}
			tt.die(t, netd, s.process)
			if tt.next {
				if l.read("/etc/resolv.conf") == ownConf {
					t.Error("resolv.conf was restored by nobody: the test shows nothing")
				}
				l.serve()
			}
			for _, p := range open {
				p.ends(t) // its connection was through the TUN
			}
			l.becomes(before)
		})
	}
}

// After a power loss /run is empty and so is the network, but not /etc.
func TestPowerLoss(t *testing.T) {
	for name, prepare := range map[string]string{
		"plain": "true",
		"mount": "cp /etc/resolv.conf /run/mounted && touch /etc/resolv.conf && mount --bind /run/mounted /etc/resolv.conf",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			l.sh(prepare)
			before := l.snapshot()
			netd := l.serve()
			s := l.session()
			s.must(handover.OpOpen, config())
			netd.kill(t, syscall.SIGKILL)
			s.kill(t, syscall.SIGKILL)
			l.sh("rm -r /run/intercept-netd; mkdir /run/intercept-netd")
			if strings.Contains(l.read("/etc/resolv.conf"), "203.0.113.53") {
				t.Error("it was restored already: the test shows nothing")
			}
			l.run(l.netd, "undo")
			l.becomes(before)
		})
	}
}

// Sessions of two clusters, one after the other and at once.
func TestTwoSessions(t *testing.T) {
	l := newLaptop(t)
	before := l.snapshot()
	netd := l.serve("--once")
	a, b := l.session(), l.session()
	a.must(handover.OpOpen, config("10.96.0.0/12"))
	second := config("10.112.0.0/12")
	second.Addresses = prefixes("198.18.0.5/30")
	second.DNS.Server = netip.MustParseAddr("198.18.0.6")
	b.refuses(handover.OpOpen, second, "another session")
	second.DNS = handover.DNS{}
	if n := b.must(handover.OpOpen, second); n.Interface != "intercept1" || n.DNSMode != "" {
		t.Errorf("got %+v", n)
	}
	// The same networks would be taken from the first.
	same := config("10.112.0.0/12")
	same.Addresses = prefixes("198.18.0.1/30")
	third := l.session()
	r := third.refuses(handover.OpOpen, same, "reaches through intercept")
	if len(r.Refused) == 0 || r.Refused[0].Reason != handover.ReasonOverlap {
		t.Errorf("refused %v", r.Refused)
	}
	a.kill(t, syscall.SIGKILL)
	l.await("the first network's end", func() (string, bool) {
		s := l.run("ip", "-br", "link")
		return s, !strings.Contains(s, "intercept0") && l.read("/etc/resolv.conf") == ownConf
	})
	if got := l.routes("intercept1"); !slices.Equal(got, []string{"10.112.0.0/12"}) {
		t.Errorf("the second has routes %v", got)
	}
	b.kill(t, syscall.SIGKILL)
	third.kill(t, syscall.SIGKILL)
	l.becomes(before)
	if err := netd.ends(t); err != nil {
		t.Error(err)
	}
}

// A netd that lives is not disturbed by another that starts.
func TestTwoServers(t *testing.T) {
	l := newLaptop(t)
	l.serve()
	s := l.session()
	s.must(handover.OpOpen, config())
	l.run(l.netd, "undo")
	if conf := l.read("/etc/resolv.conf"); !strings.Contains(conf, "198.18.0.2") {
		t.Errorf("resolv.conf was taken from a session that lives:\n%s", conf)
	}
	if got := l.routes("intercept0"); len(got) != 3 {
		t.Errorf("routes %v", got)
	}
}

// An interface of the same name that is somebody else's stays.
func TestForeignInterface(t *testing.T) {
	l := newLaptop(t)
	l.run("ip", "link", "add", "intercept0", "type", "veth", "peer", "name", "other")
	before := l.snapshot()
	l.serve()
	s := l.session()
	if n := s.must(handover.OpOpen, config()); n.Interface != "intercept1" {
		t.Errorf("got %s", n.Interface)
	}
	s.kill(t, syscall.SIGKILL)
	l.becomes(before)
}

func TestOnlyWhoMayConnect(t *testing.T) {
	l := newLaptop(t)
	l.serve("--uid=4321", "--gid=5432")
	as := func(uid, gid string, more ...string) error {
		args := append([]string{"setpriv", "--reuid=" + uid, "--regid=" + gid}, append(more, os.Args[0], "dial", socket)...)
		return l.command(args...).Run()
	}
	must(t, as("0", "0", "--clear-groups"))
	must(t, as("4321", "4321", "--clear-groups"))
	must(t, as("1234", "5432", "--clear-groups"))
	must(t, as("1234", "1234", "--groups=77,5432"))
	if as("1234", "1234", "--clear-groups") == nil {
		t.Error("anybody may connect")
	}
	l.run("chmod", "0666", socket) // as if the file let everybody pass
	if as("1234", "1234", "--clear-groups") == nil {
		t.Error("the peer's credentials are not checked")
	}
}
