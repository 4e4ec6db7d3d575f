//go:build linux

package daemon

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device/devicetest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// A command that connects gets what it asks for, and existing networks stay.
func TestCommandLeavesWhatStands(t *testing.T) {
	_, m, client := networked(t)
	kill := lives(t, m, "one", "two", "three", "four")
	at := socketOf(t)
	netd := devicetest.Listen(t, at)
	open := func(namespace, by string) *socket.Network {
		t.Helper()
		n, err := client.OpenDevice(t.Context(), state.Device{Socket: at, Namespace: namespace, Holders: []string{by}})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	release := func(by string) {
		t.Helper()
		if err := client.Release(t.Context(), by); err != nil {
			t.Fatal(err)
		}
	}
	if n := open("shop", state.Standing); n.Replaced != "" {
		t.Errorf("the first replaces %q", n.Replaced)
	}
	if n := open("shop", "one"); n.Replaced != "" {
		t.Errorf("the same replaces %q", n.Replaced)
	}
	release("one")
	if d := networkOf(client).Device; d == nil || d.Namespace != "shop" {
		t.Fatalf("after a command: %+v", d)
	}
	if n := open("blog", "two"); n.Replaced != "names as in namespace shop" || n.Device.Namespace != "blog" {
		t.Errorf("another namespace: %+v", n)
	}
	// A successor knows of both.
	if err := client.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, _ = m.mustEnsure()
	wait(t, "the device of the successor", func() bool { return networkOf(client).Device != nil })
	release("two")
	if d := networkOf(client).Device; d == nil || d.Namespace != "shop" || netd.Open() != 1 {
		t.Fatalf("after a command of another namespace: %+v, %d networks", d, netd.Open())
	}
	if err := client.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	open("shop", "three")
	release("three")
	if s, err := client.Status(t.Context()); err != nil || s.Network != nil || netd.Open() != 0 {
		t.Errorf("after a command alone: %+v, %v, %d networks", s.Network, err, netd.Open())
	}
	open("shop", "four")
	kill("four")
	wait(t, "the network to go with a command that is killed", func() bool { return networkOf(client).Device == nil && netd.Open() == 0 })
}

func TestProxiesStay(t *testing.T) {
	_, m, client := networked(t)
	lives(t, m, "one")
	open := func(at, namespace, by string) *socket.Network {
		t.Helper()
		n, err := client.OpenProxy(t.Context(), state.Proxy{Address: at, Namespace: namespace, Holders: []string{by}})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const anywhere = "127.0.0.1:0"
	listens := func(at string) bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	shop := open(anywhere, "shop", state.Standing).Proxy
	if again := open(anywhere, "shop", state.Standing); again.Proxy != shop {
		t.Errorf("again it is at %s, not at %s", again.Proxy, shop)
	}
	blog := open(anywhere, "blog", state.Standing).Proxy
	if blog == shop || !listens(shop) || !listens(blog) {
		t.Fatalf("proxies at %s (%t) and %s (%t)", shop, listens(shop), blog, listens(blog))
	}
	// Commands share an existing proxy, or get one of their own.
	if n := open(anywhere, "shop", "one"); n.Proxy != shop || n.Namespace != "shop" {
		t.Errorf("a command gets %s, %s", n.Proxy, n.Namespace)
	}
	tools := open(anywhere, "tools", "one").Proxy
	if _, err := client.OpenProxy(t.Context(), state.Proxy{Address: shop, Namespace: "tools", Holders: []string{"one"}}); err == nil ||
		!strings.Contains(err.Error(), "has names as in namespace shop: choose another address") {
		t.Errorf("a command takes what stands: %v", err)
	}
	if err := client.Release(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if !listens(shop) || !listens(blog) || listens(tools) {
		t.Errorf("after a command: %t, %t, %t", listens(shop), listens(blog), listens(tools))
	}
	if n := open(shop, "tools", state.Standing); n.Replaced != "names as in namespace shop" || n.Proxy != shop || len(n.Proxies) != 2 {
		t.Errorf("the same address: %+v", n)
	}
	if err := client.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, _ = m.mustEnsure()
	wait(t, "both proxies of the successor", func() bool { return len(networkOf(client).Proxies) == 2 })
	if !listens(shop) || !listens(blog) {
		t.Errorf("after a successor: %t, %t", listens(shop), listens(blog))
	}
	if err := client.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if listens(shop) || listens(blog) {
		t.Error("a proxy listens after disconnect")
	}
}

// An intercept that was made for a command ends with a command that is killed, also if
// another process serves it by then. The process ends when the last command that asked for
// it says that it has ended.
func TestInterceptEndsWithItsCommand(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, s := m.mustEnsure()
	track := func(p state.Program) {
		t.Helper()
		i := intercept(s.Session, 80, 8080)
		c.put(i)
		if _, err := client.Track(t.Context(), i.Namespace, i.Name, p); err != nil {
			t.Fatal(err)
		}
	}
	gone := func() bool {
		s, err := client.Status(t.Context())
		return err == nil && len(s.Intercepts) == 0
	}
	kill := lives(t, m, "opens", "one", "two")
	// One that is for access ends when the command that was to open some has not.
	track(state.Program{Command: "opens", Access: true})
	if err := client.Release(t.Context(), "another"); err != nil || gone() {
		t.Fatalf("it has ended although the command runs: %v", err)
	}
	kill("opens")
	wait(t, "the intercept to end without access", gone)
	track(state.Program{Command: "one"})
	if err := client.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, _ = m.mustEnsure()
	wait(t, "the successor to serve the intercept", func() bool { return !gone() })
	kill("one")
	wait(t, "the intercept to end", gone)
	c.mu.Lock()
	if o := c.objects[path(intercept(s.Session, 80, 8080))]; o != nil {
		t.Errorf("%v is still there", o)
	}
	c.mu.Unlock()

	track(state.Program{Command: "two"})
	if err := client.Release(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	if s, err := client.Status(t.Context()); err != nil || len(s.Intercepts) != 1 {
		t.Errorf("it has ended although there is an intercept: %v, %v", s, err)
	}
	kill("two")
	wait(t, "the process to end", func() bool { _, err := client.Status(t.Context()); return errors.Is(err, session.ErrNotRunning) })
}
