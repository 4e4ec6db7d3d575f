//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestConnectFaultSessionKilled: intercept-netd takes everything back at once,
// and the next command brings it all again.
func TestConnectFaultSessionKilled(t *testing.T) {
	c := connected(t)
	defer c.end()
	old := c.killSession()
	c.Lab.Within(5*time.Second, "the laptop is as before", c.asBefore)
	if _, text, err := c.device(); err != nil || !strings.Contains(text, "asked for, but the session is gone: run kubectl intercept connect") {
		t.Errorf("status says %q, %v", text, err)
	}
	// Any command that needs a session will do.
	c.Intercept("add", "quote", "--port", c.Serve("alice").To(""))
	if pids := c.Sessions(); len(pids) != 1 || pids[0] == old {
		t.Errorf("sessions %v", pids)
	}
	c.Intercept("leave", "quote")
	c.again()

	// With connect itself it is no different.
	c.killSession()
	c.Intercept("connect")
	c.works()
	// Who disconnects from a dead session does not mean to have it again.
	c.killSession()
	if o := c.Intercept("disconnect"); !strings.Contains(o.Err, "disconnected") {
		t.Error("disconnect of a dead session says otherwise")
	}
	c.Intercept("add", "quote", "--port", c.Serve("alice").To(""))
	if _, text, err := c.device(); err != nil || text != "off" {
		t.Errorf("status says %q, %v", text, err)
	}
	c.Must(c.asBefore())
}

// TestConnectFaultNetdKilled: the session tells, and asks for everything again
// as soon as there is somebody to ask.
func TestConnectFaultNetdKilled(t *testing.T) {
	c := connected(t)
	defer c.end()
	flow := c.flow()
	pids := c.Sessions()
	c.killNetd()
	c.told(flow)
	c.Until("status tells", func() error {
		_, text, err := c.device()
		if err == nil && !strings.Contains(text, "asked for, but intercept-netd is gone: run kubectl intercept connect") {
			err = errors.New(text)
		}
		return err
	})
	c.service()
	c.again()
	if now := c.Sessions(); len(now) != 1 || now[0] != pids[0] {
		t.Errorf("sessions %v became %v", pids, now)
	}

	// Nobody to ask: disconnect still ends it, and connect starts one.
	c.killNetd()
	c.Until("status tells", func() error {
		_, text, err := c.device()
		if err == nil && !strings.Contains(text, "intercept-netd is gone") {
			err = errors.New(text)
		}
		return err
	})
	if o := c.Intercept("disconnect"); !strings.Contains(o.Err, "disconnected") {
		t.Error("disconnect says otherwise")
	}
	if _, text, err := c.device(); err != nil || text != "off" {
		t.Errorf("status says %q, %v", text, err)
	}
	c.Intercept("connect")
	c.works()
	c.Intercept("disconnect")
	c.Must(c.asBefore())
}

// TestConnectFaultBothKilled: the next start of intercept-netd cleans up, and the
// next session brings the network back.
func TestConnectFaultBothKilled(t *testing.T) {
	c := connected(t)
	defer c.end()
	c.killNetd()
	c.killSession()
	if c.asBefore() == nil {
		t.Error("resolv.conf was restored by nobody: the test shows nothing")
	}
	c.service()
	c.Until("the laptop is as before", c.asBefore)
	c.Intercept("connect")
	c.works()
	c.killNetd()
	c.killSession()
	c.Intercept("connect") // starts an intercept-netd for this user
	c.works()
	c.Intercept("disconnect")
	c.Must(c.asBefore())

	// Who wants no more of it gets his DNS back without another connect.
	c.service()
	c.Intercept("connect")
	c.works()
	c.killNetd()
	c.killSession()
	if _, text, err := c.device(); err != nil || !strings.Contains(text, "asked for, but the session is gone") {
		t.Errorf("status says %q, %v", text, err)
	}
	if o := c.Intercept("disconnect"); !strings.Contains(o.Err, "disconnected") {
		t.Error("disconnect says otherwise")
	}
	c.Must(c.asBefore())
}

// TestConnectFaultReplaced: a session that makes way for another one leaves it
// the network, also where intercept-netd was started for it alone.
func TestConnectFaultReplaced(t *testing.T) {
	c := connected(t)
	defer c.end()
	c.Lab.AllowPortForward()
	for range 2 {
		old := c.Sessions()
		transport := "port-forward"
		if c.Status().Session.Transport == transport {
			transport = "service-proxy"
		}
		c.Intercept("add", "quote", "--transport", transport, "--port", c.Serve("alice").To(""))
		c.Intercept("leave", "quote")
		if now := c.Sessions(); len(now) != 1 || now[0] == old[0] {
			t.Errorf("sessions %v became %v", old, now)
		}
		c.again()
		if c.netd != nil {
			c.Intercept("disconnect")
			c.Must(c.netd.Process.Signal(syscall.SIGTERM))
			c.Until("the service is gone", func() error {
				if c.command("test -S /run/intercept-netd/netd.sock").Run() == nil {
					return errors.New("it listens")
				}
				return nil
			})
			c.netd = nil
			c.Intercept("connect")
			c.works()
		}
	}
}

// TestConnectFaultTwo: two sessions of one laptop, whose clusters have the same
// networks. Without systemd-resolved one of them can have the names.
func TestConnectFaultTwo(t *testing.T) {
	c := connected(t)
	defer c.end()
	// The same cluster under another name, as another user.
	c.Allow("bob", "edit", c.Namespace)
	bob := c.Stranger("bob")
	mine, theirs := c.Laptop.Kubeconfig, bob.Kubeconfig
	as := func(kubeconfig string, f func()) {
		c.Kubeconfig = kubeconfig
		defer func() { c.Kubeconfig = mine }()
		f()
	}
	as(theirs, func() {
		c.Refused([]string{"connect"}, "another session has this machine's DNS")
		if _, text, err := c.device(); err != nil || text != "off" {
			t.Errorf("the second session says %q, %v", text, err)
		}
	})
	c.Must(c.usable())
	as(theirs, func() { c.Intercept("disconnect") })
	c.Must(c.usable())

	// The first leaves; the second takes over.
	c.Intercept("disconnect")
	c.Must(c.asBefore())
	as(theirs, func() {
		c.Intercept("connect")
		c.works()
	})
	c.Refused([]string{"connect"}, "another session has this machine's DNS")
	as(theirs, func() {
		c.Must(c.usable())
		c.Intercept("disconnect")
	})
	c.Must(c.asBefore())
	c.Intercept("connect")
	c.works()
}

// TestConnectFaultAPIServer: what is wanted covers the API server, the gateway
// and the resolver, and they are not captured.
func TestConnectFaultAPIServer(t *testing.T) {
	c := connected(t)
	defer c.end()
	api, err := netip.ParseAddrPort(strings.TrimPrefix(c.Config().Host, "https://"))
	c.Must(err)
	spared := map[string]string{"the API server": api.Addr().String(), "the gateway": strings.Fields(c.shell("ip route get " + api.Addr().String()))[2],
		"the resolver": strings.Fields(c.before[strings.Index(c.before, "nameserver"):])[1]}
	around, err := api.Addr().Prefix(24)
	c.Must(err)
	c.Intercept("disconnect")
	c.Intercept("connect", "--also-proxy", around.String())
	c.Must(c.usable())
	for what, addr := range spared {
		if out, _ := c.command("ip route get " + addr).CombinedOutput(); strings.Contains(string(out), "dev intercept") {
			t.Errorf("%s is captured: %s", what, out)
		}
	}
	if out := c.shell("ip route get " + around.Addr().Next().Next().Next().Next().String()); !strings.Contains(out, "dev intercept") {
		t.Errorf("the rest is not: %s", out)
	}
	relay := c.Status().Session.Relay
	c.Must(c.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(lab.ManagerNamespace)))
	c.Until("the laptop is connected with another relay", func() error { return moved(c.Laptop, relay) })
	c.again()
}

// TestConnectFaultManagerDeleted: flows are told, and another traffic-manager is
// found.
func TestConnectFaultManagerDeleted(t *testing.T) {
	c := connected(t)
	defer c.end()
	flow := c.flow()
	relay := c.Status().Session.Relay
	c.Must(c.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(lab.ManagerNamespace)))
	c.told(flow)
	c.Until("the laptop is connected with another relay", func() error { return moved(c.Laptop, relay) })
	c.again()
}

// TestConnectFaultAPIServerRestarted: everything goes through it.
func TestConnectFaultAPIServerRestarted(t *testing.T) {
	c := connected(t)
	defer c.end()
	flow := c.flow()
	c.Must(c.Restart(t.Context(), "kube-apiserver"))
	c.told(flow)
	c.again()
}

// TestConnectFaultCablePulled drops every packet to the API server: nobody tells
// either side.
func TestConnectFaultCablePulled(t *testing.T) {
	c := connected(t)
	defer c.end()
	flow := c.flow()
	c.shell(`nft 'table inet cable { chain out { type filter hook output priority 0; oifname "eth0" drop; }; }'`)
	t.Cleanup(func() { _, _ = c.Nft("delete table inet cable") }) // if not done below
	c.meanwhile()
	c.told(flow)
	c.shell("nft delete table inet cable")
	c.again()
}

// TestConnectFaultLink: no network, and then the same again; a network with
// another address.
func TestConnectFaultLink(t *testing.T) {
	c := connected(t)
	defer c.end()
	api, err := netip.ParseAddrPort(strings.TrimPrefix(c.Config().Host, "https://"))
	c.Must(err)
	gateway := strings.Fields(c.shell("ip route get " + api.Addr().String()))[2]
	c.shell("ip link set eth0 down")
	c.meanwhile()
	routes := fmt.Sprintf("ip route add %s dev eth0 scope link; ip route add %s via %s", gateway, api.Addr(), gateway)
	c.shell("ip link set eth0 up; " + routes)
	c.again()

	// The old address stays for the hub's sake, but nothing leaves from it.
	own := strings.Fields(c.shell("ip -o -4 addr show dev eth0"))[3]
	own = strings.TrimSuffix(own, "/32")
	flow := c.flow()
	c.shell(fmt.Sprintf(`ip addr add 10.9.9.9/32 dev eth0
		ip route replace %s via %s src 10.9.9.9
		nft 'table ip moved {
			chain out { type filter hook output priority 0; ip saddr %s oifname "eth0" drop; }
			chain nat { type nat hook postrouting priority 100; ip saddr 10.9.9.9 oifname "eth0" snat to %s; }
		}'`, api.Addr(), gateway, own, own))
	defer func() {
		c.shell(fmt.Sprintf("nft delete table ip moved; ip addr del 10.9.9.9/32 dev eth0; ip route replace %s via %s", api.Addr(), gateway))
	}()
	c.told(flow)
	c.again()
}

// TestConnectFaultSleep: the session stands still until the traffic-manager has
// given it up, as in a laptop that sleeps.
func TestConnectFaultSleep(t *testing.T) {
	c := connected(t)
	defer c.end()
	flow := c.flow()
	session := c.Status().Session
	c.Must(syscall.Kill(session.PID, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(session.PID, syscall.SIGCONT) }) // if not done below
	c.Until("the traffic-manager gives the session up", func() error {
		var s v1alpha1.Session
		if err := c.Client.Get(t.Context(), client.ObjectKey{Namespace: lab.ManagerNamespace, Name: session.Session}, &s); err != nil {
			return err
		}
		if len(s.Status.Relays) > 0 {
			return fmt.Errorf("relays %v", s.Status.Relays)
		}
		return nil
	})
	c.Must(syscall.Kill(session.PID, syscall.SIGCONT))
	c.again()
	c.told(flow)
	if now := c.Sessions(); len(now) != 1 || now[0] != session.PID {
		t.Errorf("session %d became %v", session.PID, now)
	}
}
