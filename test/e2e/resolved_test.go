//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// setUpResolved gives a laptop an /etc of its own, in $1, that programs with
// systemd-resolved have. The machine's is not touched.
const setUpResolved = `set -e
mkdir -p "$1/systemd"
cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/hosts /etc/services /etc/ssl "$1/"
: >"$1/machine-id"
grep -q ^systemd-resolve: "$1/group" || echo systemd-resolve:x:989: >>"$1/group"
grep -q ^systemd-resolve: "$1/passwd" || echo systemd-resolve:x:989:989::/:/usr/sbin/nologin >>"$1/passwd"
printf '[Resolve]\nFallbackDNS=\nDNSSEC=no\nLLMNR=no\nMulticastDNS=no\n' >"$1/systemd/resolved.conf"
ln -s ../run/systemd/resolve/stub-resolv.conf "$1/resolv.conf"
cat >"$1/bus.conf" <<'BUS'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/></policy></busconfig>
BUS
mount --bind "$1" /etc
mkdir -p /run/dbus /run/systemd/resolve
chown systemd-resolve:systemd-resolve /run/systemd/resolve
`

// resolved is a laptop on which Debian's systemd-resolved answers programs. It
// is unpacked by make deps, not installed.
type resolved struct {
	*lab.Laptop
	env string // for its programs
	ctl string
}

func newResolved(t *testing.T, l *lab.Lab, p *lab.Laptop) *resolved {
	t.Helper()
	debian := l.Bin("debian")
	libs, err := filepath.Glob(debian + "/usr/lib/*-linux-gnu/systemd")
	must(t, err)
	env := "LD_LIBRARY_PATH=" + strings.Join(libs, ":") + " SYSTEMD_COLORS=0 "
	r := &resolved{Laptop: p, env: env, ctl: env + debian + "/usr/bin/resolvectl "}
	p.Shell("set -- " + p.Home + "/etc\n" + setUpResolved)
	t.Cleanup(func() { // the laptop lasts longer than the test
		if out, err := p.ShCommand(context.Background(), "umount -l /etc && rm -r /run/dbus /run/systemd").CombinedOutput(); err != nil {
			t.Errorf("take systemd-resolved away: %v: %s", err, out)
		}
	})
	r.start(t, "exec dbus-daemon --config-file=/etc/bus.conf --nofork")
	l.Until("D-Bus is there", func() error {
		if p.Quiet("test -S /run/dbus/system_bus_socket").Failed {
			return errors.New("no socket")
		}
		return nil
	})
	r.start(t, "exec env "+env+debian+"/lib/systemd/systemd-resolved")
	l.Until("systemd-resolved is there", func() error {
		if o := p.Quiet("test -s /run/systemd/resolve/stub-resolv.conf && " + r.ctl + "status"); o.Failed {
			return errors.New(o.Err)
		}
		return nil
	})
	return r
}

// start runs a daemon until the test ends.
func (r *resolved) start(t *testing.T, line string) {
	t.Helper()
	cmd := r.ShCommand(context.Background(), line)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
}

// TestResolved: with systemd-resolved the cluster's names, and no others, go by
// the interface, and /etc/resolv.conf is left alone.
func TestResolved(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.Serving("quote", "http")
	p := l.Laptop("rita")
	r := newResolved(t, l, p)
	v := newVPN(t, p)
	own := &resolver{}
	own.serve(t, v.space, "172.31.0.2")
	p.Shell(r.ctl + "dns vpn0 172.31.0.2 && " + r.ctl + "domain vpn0 '~example.test' && " + r.ctl + "default-route vpn0 yes")
	full := "quote." + l.Namespace + ".svc.cluster.local"
	look := func() string {
		return network4(p) + p.Shell("readlink /etc/resolv.conf; "+r.ctl+"dns; "+r.ctl+"domain; "+r.ctl+"default-route")
	}
	before := look()
	query := func(name, link string) {
		t.Helper()
		if out := p.Shell(r.ctl + "query --cache=no " + name); !strings.Contains(out, "-- link: "+link) {
			t.Errorf("%s does not come by %s:\n%s", name, link, out)
		}
	}
	query("www.example.test", "vpn0")

	p.Intercept("connect")
	if s := p.Intercept("status").Out; !strings.Contains(s, ", by systemd-resolved; other names from 172.31.0.2\n") {
		t.Errorf("status says\n%s", s)
	}
	if link := p.Shell("readlink /etc/resolv.conf"); link != "../run/systemd/resolve/stub-resolv.conf\n" {
		t.Errorf("/etc/resolv.conf is %s", link)
	}
	query(full, "intercept0")
	query("kubernetes.default.svc", "intercept0")
	query("www.example.test", "vpn0")
	for _, name := range []string{"quote", "quote." + l.Namespace, full} {
		if o := p.Sh("curl -sS --max-time 20 http://" + name); !strings.HasPrefix(o.Out, "answered by "+lab.Application) {
			t.Errorf("%s: %s%s", name, o.Out, o.Err)
		}
	}
	if got := strings.TrimSpace(p.Shell("dig +short www.example.test")); got != elsewhere {
		t.Errorf("the VPN's name leads to %q", got)
	}
	if names := own.heard("cluster.local"); len(names) > 0 {
		t.Errorf("the VPN's name server was asked for %q", names)
	}

	p.Intercept("disconnect")
	l.Until("everything is as before", func() error {
		if after := look(); after != before {
			return fmt.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		return nil
	})
	query("www.example.test", "vpn0")
	if o := p.Sh("curl -sS --max-time 20 http://quote." + l.Namespace); o.Code != 6 {
		t.Errorf("after disconnect: exit code %d, %s%s", o.Code, o.Out, o.Err)
	}
}
