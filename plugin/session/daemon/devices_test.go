//go:build linux

package daemon

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device/devicetest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// networked is a session whose cluster tells of its network.
func networked(t *testing.T) (*cluster, *machine, *session.Client) {
	t.Helper()
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, _ := m.mustEnsure()
	tell(c, &v1alpha1.SessionNetwork{ClusterDomain: "cluster.local", ServiceCIDRs: []string{"10.96.0.0/16"}})
	return c, m, client
}

// networkOf is the status's network; never nil.
func networkOf(c *session.Client) *socket.Network {
	s, err := c.Status(context.Background())
	if err != nil || s.Network == nil {
		return &socket.Network{}
	}
	return s.Network
}

func socketOf(t *testing.T) string { return filepath.Join(t.TempDir(), "netd.sock") }

func TestDeviceComesBack(t *testing.T) {
	_, m, client := networked(t)
	at := socketOf(t)
	netd := devicetest.Listen(t, at)
	want := state.Device{Socket: at, Namespace: "shop"}
	n, err := client.OpenDevice(t.Context(), want)
	if err != nil || n.Device == nil || n.Device.Interface != "intercept0" || n.Missing != "" {
		t.Fatalf("open: %+v, %v", n, err)
	}
	netd.Kill()
	wait(t, "status to tell", func() bool { return strings.Contains(networkOf(client).Missing, "intercept-netd is gone") })
	if n := networkOf(client); n.Device != nil {
		t.Errorf("there is still a device: %+v", n.Device)
	}
	netd = devicetest.Listen(t, at)
	wait(t, "the device", func() bool { n := networkOf(client); return n.Device != nil && n.Missing == "" })

	// The next process brings it back, whether this one left in peace or not.
	if err := client.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := netd.Open(); n != 0 {
		t.Errorf("%d networks between two processes", n)
	}
	client, _ = m.mustEnsure()
	wait(t, "the device of the successor", func() bool { return networkOf(client).Device != nil })
	if err := client.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, _ := client.Status(t.Context()); s.Network != nil || netd.Open() != 0 {
		t.Errorf("after disconnect: %+v, %d networks", s.Network, netd.Open())
	}
	if err := client.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, _ = m.mustEnsure()
	if s, _ := client.Status(t.Context()); s.Network != nil {
		t.Errorf("what was disconnected is back: %+v", s.Network)
	}
}

// The process keeps the device up to date, but does not undo what a command asked for.
func TestDeviceIsChanged(t *testing.T) {
	_, _, client := networked(t)
	at := socketOf(t)
	netd := devicetest.Listen(t, at)
	for _, ns := range []string{"shop", "tools"} {
		if _, err := client.OpenDevice(t.Context(), state.Device{Socket: at, Namespace: ns}); err != nil {
			t.Fatal(err)
		}
	}
	status := 0
	wait(t, "some time", func() bool {
		if ns := networkOf(client).Device.Namespace; ns != "tools" {
			t.Fatalf("the namespace is %s again", ns)
		}
		status++
		return status == 200
	})
	if n := netd.Open(); n != 1 {
		t.Errorf("%d networks", n)
	}
	// Another netd takes over from the one before.
	other := socketOf(t)
	second := devicetest.Listen(t, other)
	if _, err := client.OpenDevice(t.Context(), state.Device{Socket: other, Namespace: "shop"}); err != nil {
		t.Fatal(err)
	}
	if netd.Open() != 0 || second.Open() != 1 {
		t.Errorf("%d and %d networks", netd.Open(), second.Open())
	}
}

// Nothing changes in the cluster, but on this machine: netd is asked again.
func TestDeviceFollowsTheMachine(t *testing.T) {
	_, m, client := networked(t)
	var moved, overwritten atomic.Bool
	m.leads = func() bool { return !overwritten.Load() }
	here, also := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	m.sources = func([]netip.Addr) []netip.Addr {
		if moved.Load() {
			return []netip.Addr{here, also}
		}
		return []netip.Addr{here}
	}
	m.times.access.Glance = short
	if err := client.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, _ = m.mustEnsure()
	at := socketOf(t)
	netd := devicetest.Listen(t, at)
	if _, err := client.OpenDevice(t.Context(), state.Device{Socket: at, Namespace: "shop"}); err != nil {
		t.Fatal(err)
	}
	if n := len(netd.Asked()); n != 1 {
		t.Errorf("%d requests before anything changed", n)
	}
	moved.Store(true)
	wait(t, "netd to be asked about another network", func() bool { return len(netd.Asked()) >= 3 })
	asked := len(netd.Asked())
	overwritten.Store(true)
	wait(t, "resolv.conf to be taken over again", func() bool { return len(netd.Asked()) > asked })
}

// A failed OpenDevice has closed the earlier network, which the process restores.
func TestFormerDeviceComesBack(t *testing.T) {
	_, _, client := networked(t)
	first, second := socketOf(t), socketOf(t)
	devicetest.Listen(t, first)
	if _, err := client.OpenDevice(t.Context(), state.Device{Socket: first, Namespace: "shop"}); err != nil {
		t.Fatal(err)
	}
	devicetest.Listen(t, second).Refusal = func(string, *handover.Config) error { return errors.New("no room") }
	if _, err := client.OpenDevice(t.Context(), state.Device{Socket: second, Namespace: "blog"}); err == nil {
		t.Fatal("connect succeeds without a device")
	}
	wait(t, "the former network to be back", func() bool {
		n := networkOf(client)
		return n.Device != nil && n.Device.Namespace == "shop" && n.Missing == ""
	})
}

// connecting begins a connect, and returns when netd was asked for the TUN. Netd gives
// it when answer is called. Failed has the result of the connect.
func connecting(t *testing.T, client *session.Client) (failed <-chan error, answer func()) {
	t.Helper()
	at, stuck := socketOf(t), make(chan struct{})
	asked, result := make(chan struct{}, 1), make(chan error, 1)
	devicetest.Listen(t, at).Refusal = func(string, *handover.Config) error {
		asked <- struct{}{}
		<-stuck
		return nil
	}
	go func() {
		_, err := client.OpenDevice(context.Background(), state.Device{Socket: at, Namespace: "shop"})
		result <- err
	}()
	<-asked
	return result, func() { close(stuck) }
}

// Disconnect preempts a connect that waits.
func TestConnectIsPreempted(t *testing.T) {
	_, m, client := networked(t)
	client = m.restart(client, func() { m.times.access.Undo = short }) // netd never answers
	failed, answer := connecting(t, client)
	if err := client.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("connect succeeds after disconnect")
	}
	answer()
	if s, _ := client.Status(t.Context()); s.Network != nil {
		t.Errorf("after disconnect: %+v", s.Network)
	}
}

// Connect preempts a session that asks again, where nobody answers.
func TestRegainIsPreempted(t *testing.T) {
	_, _, client := networked(t)
	gone := socketOf(t)
	netd := devicetest.Listen(t, gone)
	if _, err := client.OpenDevice(t.Context(), state.Device{Socket: gone, Namespace: "shop"}); err != nil {
		t.Fatal(err)
	}
	netd.Kill()
	wait(t, "status to tell", func() bool { return networkOf(client).Missing != "" })
	elsewhere := socketOf(t)
	devicetest.Listen(t, elsewhere)
	if n, err := client.OpenDevice(t.Context(), state.Device{Socket: elsewhere, Namespace: "shop"}); err != nil || n.Missing != "" || n.Device == nil {
		t.Errorf("connect elsewhere: %+v, %v", n, err)
	}
	if err := client.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	wait(t, "nothing to be left", func() bool { s, err := client.Status(context.Background()); return err == nil && s.Network == nil })
}

// The end of the process does not wait for a command that connects.
func TestEndWhileConnecting(t *testing.T) {
	_, m, client := networked(t)
	client = m.restart(client, func() { m.times.access.Undo = short }) // netd never answers
	failed, answer := connecting(t, client)
	defer answer()
	if err := client.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("connect succeeds in a process that ends")
	}
}
