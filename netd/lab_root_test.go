//go:build rootful

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// The tests run the real program on a laptop of their own: a network and a
// mount namespace with its own /etc, /run and /var/lib.
//
//	intercept-netd ══ unix socket ══ session (this test's program again)
//	     │                              │
//	     └── creates ── interceptN ─────┘ reads and writes
//
//	wlan0 192.0.2.10/24, fd92::10/64 ── veth ── gateway 192.0.2.1 (nobody is there)
//
// The machine's own network and files are not touched.
const patience = 15 * time.Second

const ownConf = "# mine\nnameserver 203.0.113.53\nsearch corp.example\noptions timeout:1 rotate\n"

type laptop struct {
	t    *testing.T
	pid  string
	netd string // the program
}

// setUp runs in the new namespaces; $1 is a folder of the test's.
const setUp = `set -e
mkdir -p "$1/etc" "$1/lib"
cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/hosts "$1/etc/"
: >"$1/etc/machine-id"
grep -q ^systemd-resolve: "$1/etc/group" || echo systemd-resolve:x:989: >>"$1/etc/group"
grep -q ^systemd-resolve: "$1/etc/passwd" || echo systemd-resolve:x:989:989::/:/usr/sbin/nologin >>"$1/etc/passwd"
mount --bind "$1/etc" /etc
mount --bind "$1/lib" /var/lib
mount -t tmpfs tmpfs /run
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
ip link set lo up
ip link add wlan0 type veth peer name far
ip addr add 192.0.2.10/24 dev wlan0
ip addr add fd92::10/64 dev wlan0 nodad
ip link set wlan0 up
ip link set far up
ip route add default via 192.0.2.1
ip -6 route add default via fd92::1
echo ready
exec sleep infinity`

func newLaptop(t *testing.T) *laptop {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test makes namespaces and must run as root")
	}
	l := &laptop{t: t, netd: program}
	cmd := exec.Command("unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", setUp, "sh", t.TempDir())
	out, err := cmd.StdoutPipe()
	must(t, err)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("no laptop: %v %s", err, &errOut)
	}
	l.pid = fmt.Sprint(cmd.Process.Pid)
	l.write("/etc/resolv.conf", ownConf)
	// The kernel gives the pair its carrier and its own addresses a little later.
	l.await("the laptop's network", func() (string, bool) {
		s := l.sh("ip -br link; ip route; ip -6 route show table all")
		return s, !strings.Contains(s, "LOWERLAYERDOWN") && !strings.Contains(s, "linkdown") && strings.Count(s, "local fe80") >= 2
	})
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// command runs on the laptop.
func (l *laptop) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", l.pid, "-n", "-m", "--"}, args...)...)
}

func (l *laptop) run(args ...string) string {
	l.t.Helper()
	out, err := l.command(args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (l *laptop) sh(script string) string { l.t.Helper(); return l.run("sh", "-c", script) }

func (l *laptop) read(path string) string { l.t.Helper(); return l.run("cat", path) }

func (l *laptop) write(path, text string) {
	l.t.Helper()
	cmd := l.command("tee", path)
	cmd.Stdin = strings.NewReader(text)
	must(l.t, cmd.Run())
}

// snapshot is everything that netd may change.
func (l *laptop) snapshot() string {
	l.t.Helper()
	return l.sh(`ip -br link; ip -br addr; ip route show table all; ip -6 route show table all; ip rule;
		ls -l --time-style=+ /etc; cat /etc/resolv.conf; find /var/lib -type f; find /run/intercept-netd -path '*journal/*' 2>/dev/null; true`)
}

// becomes waits until the laptop is as it was.
func (l *laptop) becomes(want string) {
	l.t.Helper()
	l.await("the laptop as it was before", func() (string, bool) { s := l.snapshot(); return s, s == want })
}

func (l *laptop) await(what string, f func() (string, bool)) {
	l.t.Helper()
	var saw string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var ok bool
		if saw, ok = f(); ok {
			return
		}
	}
	l.t.Fatalf("waited for %s; saw:\n%s", what, saw)
}

// process is a program on the laptop.
type process struct {
	*exec.Cmd
	log  *lockedBuffer
	done chan error
}

func (l *laptop) start(cmd *exec.Cmd) *process {
	l.t.Helper()
	p := &process{Cmd: cmd, log: &lockedBuffer{}, done: make(chan error, 1)}
	cmd.Stderr = p.log
	must(l.t, cmd.Start())
	go func() { p.done <- cmd.Wait() }()
	l.t.Cleanup(func() {
		cmd.Process.Kill()
		if l.t.Failed() {
			l.t.Logf("%v:\n%s", cmd.Args, p.log)
		}
	})
	return p
}

// ends waits for the end of a process.
func (p *process) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(patience):
		t.Fatalf("%v does not end:\n%s", p.Args, p.log)
		return nil
	}
}

func (p *process) kill(t *testing.T, sig syscall.Signal) {
	t.Helper()
	must(t, p.Process.Signal(sig))
	p.ends(t)
}

const socket = "/run/intercept-netd/test.sock"

// serve starts netd and waits for its socket.
func (l *laptop) serve(flags ...string) *process {
	l.t.Helper()
	p := l.start(l.command(append([]string{l.netd, "serve", "--socket", socket, "--idle=1h"}, flags...)...))
	l.await("the socket", func() (string, bool) {
		err := l.command(os.Args[0], "dial", socket).Run()
		return p.log.String(), err == nil
	})
	return p
}

// session is a client of netd: this program, run again on the laptop.
type session struct {
	*process
	t   *testing.T
	in  io.WriteCloser
	out *json.Decoder
}

type order struct {
	Op     string // a handover.Op, or "read" or "write" of a packet
	Config handover.Config
	Packet []byte
}

type outcome struct {
	Network *handover.Network
	Refused []handover.Conflict
	Error   string
	Packet  []byte
}

func (l *laptop) session() *session {
	l.t.Helper()
	return l.sessionOf(l.command(os.Args[0], "session", socket))
}

func (l *laptop) sessionOf(cmd *exec.Cmd) *session {
	l.t.Helper()
	in, err := cmd.StdinPipe()
	must(l.t, err)
	out, w, err := os.Pipe()
	must(l.t, err)
	cmd.Stdout = w
	s := &session{process: l.start(cmd), t: l.t, in: in, out: json.NewDecoder(out)}
	w.Close()
	l.t.Cleanup(func() { out.Close() })
	return s
}

func (s *session) ask(o order) outcome {
	s.t.Helper()
	must(s.t, json.NewEncoder(s.in).Encode(o))
	var r outcome
	if err := s.out.Decode(&r); err != nil {
		s.t.Fatalf("session: %v\n%s", err, s.log)
	}
	return r
}

// must asks for what has to succeed.
func (s *session) must(op string, c handover.Config) *handover.Network {
	s.t.Helper()
	r := s.ask(order{Op: op, Config: c})
	if r.Error != "" {
		s.t.Fatalf("%s: %s", op, r.Error)
	}
	return r.Network
}

// refuses asks for what has to fail, by a text or a reason.
func (s *session) refuses(op string, c handover.Config, want string) outcome {
	s.t.Helper()
	r := s.ask(order{Op: op, Config: c})
	if !strings.Contains(r.Error, want) || r.Error == "" {
		s.t.Fatalf("%s: got error %q, want %q", op, r.Error, want)
	}
	return r
}

func serveOrders(path string) error {
	c, err := dialHandover(path)
	if err != nil {
		return err
	}
	var tun *handover.TUN
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var r outcome
		var err error
		switch o.Op {
		case handover.OpOpen:
			r.Network, tun, err = c.Open(ctx(), o.Config)
		case handover.OpUpdate:
			r.Network, err = c.Update(ctx(), o.Config)
		case handover.OpClose:
			err = c.Close()
		case "gone":
			<-c.Done()
		case "write":
			_, err = tun.File.Write(o.Packet)
		case "read":
			b := make([]byte, 1<<17)
			var n int
			n, err = tun.File.Read(b)
			r.Packet = b[:n]
		}
		var refused *handover.RefusedError
		if errors.As(err, &refused) {
			r.Refused = refused.Conflicts
		}
		if err != nil {
			r.Error = err.Error()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

func prefixes(s ...string) (all []netip.Prefix) {
	for _, p := range s {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// config is an ordinary session's.
func config(routes ...string) handover.Config {
	if len(routes) == 0 {
		routes = []string{"10.96.0.0/12", "10.244.0.0/16", "fd10::/112"}
	}
	return handover.Config{
		MTU: 1500, Addresses: prefixes("198.18.0.1/30", "fd18::1/126"), Routes: prefixes(routes...),
		KeepReachable: []netip.Addr{netip.MustParseAddr("203.0.113.6")},
		DNS: handover.DNS{Server: netip.MustParseAddr("198.18.0.2"), Ndots: 5,
			Search: []string{"shop.svc.cluster.local", "svc.cluster.local"}, Domains: []string{"cluster.local", "svc", "shop"}},
	}
}

// device are the routes that lead into the TUN.
func (l *laptop) routes(device string) []string {
	var all []string
	for _, family := range []string{"-4", "-6"} {
		out, _ := l.command("ip", family, "route", "show", "dev", device, "proto", "105").Output()
		for line := range strings.Lines(string(out)) {
			all = append(all, strings.Fields(line)[0])
		}
	}
	slices.Sort(all)
	return all
}

func build(dir string) (string, error) {
	path := filepath.Join(dir, "intercept-netd")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=1.2.3-test", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
}
