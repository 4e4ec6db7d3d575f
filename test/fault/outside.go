//go:build linux

package fault

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// outside are the faults of what the product runs on.
func outside() []fault {
	return []fault{
		{name: "kubelet killed", inject: now, heal: restarting("kubelet")},
		{name: "containerd killed", inject: now, heal: restarting("containerd")},
		{name: "API server killed", inject: now, heal: (*scene).restartAPIServer},
		{name: "node without network for 5 s", inject: (*scene).unplug, lasts: 5 * time.Second, heal: (*scene).plug},
		{name: "node without network for 60 s", inject: (*scene).unplug, lasts: time.Minute, dark: true, heal: (*scene).plug},
		{name: "laptop has another address", inject: (*scene).move, after: (*scene).moveBack},
		{name: "laptop sleeps for 15 s", inject: (*scene).sleep, lasts: 15 * time.Second, dark: true, heal: (*scene).wake},
	}
}

// clockNote says what is not injected.
const clockNote = "The clock jumping an hour is not injected: all processes of a machine share CLOCK_REALTIME, which time namespaces do not change, and the product has no seam for it. " +
	"A session that sleeps sees the clock jump by 15 s, which it takes as it takes an hour."

// now is when a fault is there that heal injects.
func now(*scene, context.Context) (time.Time, error) { return time.Now(), nil }

// restarting kills a component of the pod's node and starts it again.
func restarting(component string) func(*scene, context.Context) error {
	return func(s *scene, ctx context.Context) error { return s.RestartOn(ctx, node, component) }
}

// restartAPIServer kills the API server and starts it again. It expects the laptop to answer
// from when the API server does.
func (s *scene) restartAPIServer(ctx context.Context) error {
	if _, err := s.Tool(ctx, "restart", "kube-apiserver", "--name", s.Cluster.Name); err != nil {
		return err
	}
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { // should its port have been in use still
		_, err := s.Tool(ctx, "up", "--name", s.Cluster.Name, "--nodes", "2")
		return err
	})
	both.Go(func() error {
		err := until(ctx, time.Minute, func() error {
			ask, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return s.Kube.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ask).Error()
		})
		s.rec.expect()
		return err
	})
	return both.Wait()
}

// unplug drops what comes to the node from other machines, and what goes there.
func (s *scene) unplug(context.Context) (time.Time, error) {
	_, err := s.Nodes[1].Nft(`table inet unplugged {
		chain in { type filter hook prerouting priority -400; iifname "eth0" drop; }
		chain out { type filter hook postrouting priority 400; oifname "eth0" drop; }
	}`)
	return time.Now(), err
}

func (s *scene) plug(context.Context) error {
	_, err := s.Nodes[1].Nft("delete table inet unplugged")
	return err
}

// moved is the laptop's address on another network.
const moved = "10.9.9.9"

// move gives the laptop another address. The old one stays for the hub's sake, but nothing
// leaves from it.
func (s *scene) move(ctx context.Context) (time.Time, error) {
	api, gateway, own, err := s.route(ctx)
	if err != nil {
		return time.Time{}, err
	}
	at := time.Now()
	return at, s.shell(ctx, fmt.Sprintf(`ip addr add %[1]s/32 dev eth0
		ip route replace %[2]s via %[3]s src %[1]s
		nft 'table ip moved {
			chain out { type filter hook output priority 0; ip saddr %[4]s oifname "eth0" drop; }
			chain nat { type nat hook postrouting priority 100; ip saddr %[1]s oifname "eth0" snat to %[4]s; }
		}'`, moved, api, gateway, own))
}

func (s *scene) moveBack(ctx context.Context) error {
	api, gateway, _, err := s.route(ctx)
	if err != nil {
		return err
	}
	return s.shell(ctx, fmt.Sprintf("nft delete table ip moved; ip addr del %s/32 dev eth0; ip route replace %s via %s", moved, api, gateway))
}

// route returns how the laptop reaches the API server.
func (s *scene) route(ctx context.Context) (api netip.Addr, gateway, own string, err error) {
	at, err := netip.ParseAddrPort(strings.TrimPrefix(s.alice.Config().Host, "https://"))
	if err != nil {
		return api, "", "", err
	}
	out, err := s.alice.Command(ctx, "sh", "-c", fmt.Sprintf("ip route get %s; ip -o -4 addr show dev eth0 | grep -v %s", at.Addr(), moved)).Output()
	if err != nil {
		return api, "", "", err
	}
	first, rest, _ := strings.Cut(string(out), " via ")
	gateway, _, _ = strings.Cut(rest, " ")
	_, rest, _ = strings.Cut(rest, " inet ")
	own, _, _ = strings.Cut(rest, "/")
	if gateway == "" || own == "" {
		return api, "", "", fmt.Errorf("no route to the API server: %s%s", first, rest)
	}
	return at.Addr(), gateway, own, nil
}

// shell runs a script on the laptop.
func (s *scene) shell(ctx context.Context, script string) error {
	out, err := s.alice.Command(ctx, "sh", "-ec", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// sleep stops the session, as the laptop's processes are while the laptop sleeps.
func (s *scene) sleep(context.Context) (time.Time, error) {
	return time.Now(), s.signal(syscall.SIGSTOP)
}

func (s *scene) wake(context.Context) error { return s.signal(syscall.SIGCONT) }

func (s *scene) signal(signal syscall.Signal) error {
	pids := s.alice.Sessions()
	if len(pids) != 1 {
		return fmt.Errorf("sessions %v, want one", pids)
	}
	return syscall.Kill(pids[0], signal)
}
