package egress

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// pod has this resolv.conf, and no hosts file.
func pod(t *testing.T, resolv string) Pod {
	p := Pod{Resolv: filepath.Join(t.TempDir(), "resolv.conf"), Hosts: filepath.Join(t.TempDir(), "hosts")}
	if err := os.WriteFile(p.Resolv, []byte(resolv), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTargets(t *testing.T) {
	p := pod(t, "nameserver 10.96.0.10\nnameserver fd00::10\nsearch shop.svc.cluster.local\n")
	for _, test := range []struct {
		protocol frame.Protocol
		target   string
		want     []string // nil: it is denied
	}{
		{frame.TCP, frame.TargetDNS, []string{"10.96.0.10:53", "[fd00::10]:53"}},
		{frame.UDP, frame.TargetDNS, []string{"10.96.0.10:53", "[fd00::10]:53"}},
		{frame.ICMP, frame.TargetDNS, nil},
		{frame.TCP, frame.TargetLocalhost + "6379", []string{"127.0.0.1:6379", "[::1]:6379"}},
		{frame.UDP, frame.TargetLocalhost + "53", []string{"127.0.0.1:53", "[::1]:53"}},
		{frame.TCP, frame.TargetLocalhost + "0", nil},
		{frame.TCP, frame.TargetLocalhost + "65536", nil},
		{frame.TCP, frame.TargetLocalhost + "redis", nil},
		{frame.TCP, frame.TargetLocalhost, nil},
		{frame.ICMP, frame.TargetLocalhost + "6379", nil},
		{frame.TCP, "10.244.0.7:80", []string{"10.244.0.7:80"}},
		{frame.UDP, "[fd00::7]:80", []string{"[fd00::7]:80"}},
		{frame.ICMP, "10.244.0.7", []string{"10.244.0.7:0"}},
		{frame.TCP, "10.244.0.7", nil},
		{frame.TCP, "quote:80", nil},
	} {
		got, err := p.targets(&frame.Open{Kind: frame.Network, Protocol: test.protocol, Target: test.target})
		if test.want == nil {
			if !errors.Is(err, frame.ErrDenied) {
				t.Errorf("%s %q: %q, %v", test.protocol, test.target, got, err)
			}
		} else if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s %q: %q, %v, want %q", test.protocol, test.target, got, err, test.want)
		}
	}
}

func TestWithoutNameServer(t *testing.T) {
	open := &frame.Open{Kind: frame.Network, Target: frame.TargetDNS}
	if got, err := pod(t, "search corp.example\n").targets(open); !errors.Is(err, frame.ErrUnreachable) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := (Pod{Resolv: filepath.Join(t.TempDir(), "missing")}).targets(open); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%q, %v", got, err)
	}
}
