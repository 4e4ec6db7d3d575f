//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// inside is a laptop that is connected by a TUN, and what it reaches.
type inside struct {
	*lab.Lab
	*lab.Laptop
	quote  string // the Service's address
	name   string // its name
	before string // the laptop's network without us
	netd   *exec.Cmd
}

// connected begins every fault: alice is connected, with intercept-netd as a
// service.
func connected(t *testing.T) *inside {
	t.Helper()
	c := able(t)
	c.Intercept("connect")
	c.works()
	return c
}

// able is what connected begins with.
func able(t *testing.T) *inside {
	t.Helper()
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	c := &inside{Lab: l, quote: l.Serving("quote", "http"), name: "quote." + l.Namespace + ".svc.cluster.local"}
	c.Laptop = l.Laptop("alice")
	c.before = c.network()
	c.service()
	return c
}

// end is deferred: nothing may be left of all that happened.
func (c *inside) end() {
	c.Lab.Helper()
	if !c.Failed() {
		c.Intercept("disconnect")
		c.Must(c.asBefore())
	}
}

// shell runs a script on the laptop.
func (c *inside) shell(script string) string {
	c.Lab.Helper()
	out, err := c.command(script).CombinedOutput()
	if err != nil {
		c.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

func (c *inside) command(script string) *exec.Cmd {
	return c.Command(context.Background(), "sh", "-c", script)
}

// network is what connect changes of a laptop.
func (c *inside) network() string {
	c.Lab.Helper()
	return c.shell("ip -o link | grep -o ' intercept[0-9]*:'; ip route; cat /etc/resolv.conf")
}

func (c *inside) asBefore() error {
	if now := c.network(); now != c.before {
		return fmt.Errorf("before:\n%s\nnow:\n%s", c.before, now)
	}
	return nil
}

// service starts intercept-netd as systemd would.
func (c *inside) service() {
	c.Lab.Helper()
	c.netd = c.ServeNetd()
}

// kill ends intercept-netd as a crash does. The command is a wrapper that has
// become the program, or its parent.
func (c *inside) killNetd() {
	c.Lab.Helper()
	c.Must(c.netd.Process.Kill())
	c.Until("intercept-netd is dead", func() error {
		if err := syscall.Kill(c.netd.Process.Pid, 0); err == nil {
			return errors.New("it lives")
		}
		return nil
	})
}

func (c *inside) killSession() int {
	c.Lab.Helper()
	pids := c.Sessions()
	if len(pids) != 1 {
		c.Fatalf("sessions %v, want one", pids)
	}
	c.Must(syscall.Kill(pids[0], syscall.SIGKILL))
	return pids[0]
}

// device is what status says of the TUN; the text is that of the line Network.
func (c *inside) device() (d struct{ DNS netip.Addr }, text string, err error) {
	var s struct {
		Network string
		Session struct {
			Network struct{ Device struct{ DNS netip.Addr } }
		}
	}
	out, err := c.RunQuiet("status", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &s)
	}
	d.DNS = s.Session.Network.Device.DNS
	return d, s.Network, err
}

// server is the name server that programs ask.
func (c *inside) server() string {
	for line := range strings.Lines(c.shell("cat /etc/resolv.conf")) {
		if a, ok := strings.CutPrefix(line, "nameserver "); ok {
			return net.JoinHostPort(strings.TrimSpace(a), "53")
		}
	}
	c.Fatal("no name server")
	return ""
}

// resolve asks for the quote's address; the code is that of the answer.
func (c *inside) resolve(server string) (addr, code string, err error) {
	conn, err := c.Dial(c.Context(), "udp", server)
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(4 * time.Second)); err != nil {
		return "", "", err
	}
	q := new(dns.Msg)
	q.SetQuestion(c.name+".", dns.TypeA)
	d := &dns.Conn{Conn: conn}
	if err := d.WriteMsg(q); err != nil {
		return "", "", err
	}
	m, err := d.ReadMsg()
	if err != nil {
		return "", "", err
	}
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			addr = a.A.String()
		}
	}
	return addr, dns.RcodeToString[m.Rcode], nil
}

// usable says whether names and addresses of the cluster are of use.
func (c *inside) usable() error {
	addr, code, err := c.resolve(c.server())
	if err != nil {
		return fmt.Errorf("DNS: %w", err)
	}
	if addr == "" {
		return fmt.Errorf("DNS: %s without an address", code)
	}
	_, port, _ := net.SplitHostPort(c.quote)
	who, err := c.Ask(c.Context(), net.JoinHostPort(addr, port))
	if err == nil && who != lab.Application {
		err = fmt.Errorf("%s answers", who)
	}
	return err
}

func (c *inside) works() {
	c.Lab.Helper()
	c.Until("the cluster is reached", c.usable)
}

// again is works with the promise of when.
func (c *inside) again() {
	c.Lab.Helper()
	took := c.Lab.Within(15*time.Second, "the cluster is reached again", c.usable)
	c.Logf("reached again after %s", took)
}

// flow is a connection that waits for its far side.
func (c *inside) flow() net.Conn {
	c.Lab.Helper()
	conn, err := c.Dial(c.Context(), "tcp", c.quote)
	c.Must(err)
	c.Cleanup(func() { conn.Close() })
	return conn
}

// told says that a connection is reset, and does not hang.
func (c *inside) told(conn net.Conn) {
	c.Lab.Helper()
	c.Must(conn.SetReadDeadline(time.Now().Add(30 * time.Second)))
	start := time.Now()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		c.Errorf("an open connection: %v, want a reset", err)
	}
	c.Logf("an open connection was told after %s", time.Since(start))
}

// fails says that a new connection, and a new question, is answered with a
// failure and does not hang: both deadlines are far shorter than a kernel's.
func (c *inside) fails(server string) error {
	ctx, cancel := context.WithTimeout(c.Context(), 3*time.Second)
	defer cancel()
	conn, err := c.Dial(ctx, "tcp", c.quote)
	if err == nil {
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second)) // a read that hangs fails below
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("a new connection: %w, want refused or reset", err)
	}
	c.name = fmt.Sprintf("fresh%d.%s", time.Now().UnixNano(), c.name[strings.Index(c.name, c.Namespace):])
	_, code, err := c.resolve(server)
	if err != nil {
		return fmt.Errorf("DNS: %w", err)
	}
	if code != "SERVFAIL" {
		return fmt.Errorf("DNS answers %s", code)
	}
	return nil
}

// meanwhile: while the cluster is out of reach, everybody hears so.
func (c *inside) meanwhile() {
	c.Lab.Helper()
	name, server := c.name, c.server()
	took := c.Lab.Within(15*time.Second, "programs hear at once that the cluster is out of reach", func() error { return c.fails(server) })
	c.Logf("programs hear of it after %s", took)
	c.Throughout(2*time.Second, "they do", func() error { return c.fails(server) })
	c.name = name
}

// refused says that curl was told that nobody listens: as it connected or, where
// the cluster is too far away for that, by a reset.
func refused(o lab.Output) bool {
	return o.Code == 7 || o.Code == 56 && strings.Contains(o.Err, "reset by peer")
}
