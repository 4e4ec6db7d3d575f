//go:build rootful

package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// The user's file comes back, whatever it is and whoever dies.
func TestResolvConfComesBack(t *testing.T) {
	kinds := map[string]string{
		"plain": "chmod 0640 /etc/resolv.conf; chown 12:34 /etc/resolv.conf",
		"link":  "mkdir /run/manager; mv /etc/resolv.conf /run/manager/; ln -s ../run/manager/resolv.conf /etc/resolv.conf",
		"mount": "mv /etc/resolv.conf /run/mounted; touch /etc/resolv.conf; mount --bind /run/mounted /etc/resolv.conf",
		"read-only folder": `mkdir /run/etc; cp -a /etc/. /run/etc; mv /run/etc/resolv.conf /run/mounted; touch /run/etc/resolv.conf
			mount --bind /run/etc /etc; mount -o remount,bind,ro /etc; mount --bind /run/mounted /etc/resolv.conf`,
		"none": "rm /etc/resolv.conf",
	}
	for name, prepare := range kinds {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			l.sh(prepare)
			before := l.sh("ls -l /etc/resolv.conf; cat /etc/resolv.conf; ls -A /etc; true")
			ours := func() {
				t.Helper()
				conf := l.read("/etc/resolv.conf")
				if !strings.Contains(conf, "nameserver 198.18.0.2\n") || strings.Contains(conf, "203.0.113.53") {
					t.Fatalf("not taken over:\n%s", conf)
				}
			}
			back := func() {
				t.Helper()
				l.await("the user's resolv.conf", func() (string, bool) {
					now := l.sh("ls -l /etc/resolv.conf; cat /etc/resolv.conf; ls -A /etc; true")
					return now, now == before
				})
			}
			netd := l.serve()
			s := l.session()
			n := s.must(handover.OpOpen, config())
			if name != "none" && (len(n.Resolvers) != 1 || n.Resolvers[0].String() != "203.0.113.53:53") {
				t.Errorf("resolvers %v", n.Resolvers)
			}
			ours()
			n = s.must(handover.OpUpdate, config())
			if name != "none" && (len(n.Resolvers) != 1 || n.Resolvers[0].String() != "203.0.113.53:53") {
				t.Errorf("resolvers after an update %v", n.Resolvers)
			}
			ours()
			s.must(handover.OpClose, config())
			back()
			s.kill(t, syscall.SIGKILL)

			s = l.session()
			s.must(handover.OpOpen, config())
			ours()
			netd.kill(t, syscall.SIGKILL)
			s.kill(t, syscall.SIGKILL)
			l.serve()
			back()
		})
	}
}

// What somebody else writes meanwhile stays.
func TestResolvConfOfSomebodyElse(t *testing.T) {
	const theirs = "nameserver 203.0.113.99\n"
	for name, how := range map[string]string{
		"in place": "cat >/etc/resolv.conf", "renamed": "cat >/etc/new; mv /etc/new /etc/resolv.conf",
		"link": "cat >/run/theirs; ln -sf /run/theirs /etc/resolv.conf",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t)
			l.serve()
			s := l.session()
			s.must(handover.OpOpen, config())
			theirWay := func() {
				cmd := l.command("sh", "-c", how)
				cmd.Stdin = strings.NewReader(theirs)
				must(t, cmd.Run())
			}
			theirWay()
			// The next update takes theirs over, as it did with the first.
			n := s.must(handover.OpUpdate, config())
			if len(n.Resolvers) != 1 || n.Resolvers[0].String() != "203.0.113.99:53" {
				t.Errorf("resolvers %v", n.Resolvers)
			}
			if conf := l.read("/etc/resolv.conf"); !strings.Contains(conf, "nameserver 198.18.0.2\n") {
				t.Errorf("not taken over again:\n%s", conf)
			}
			if name != "renamed" {
				theirWay()
			}
			s.must(handover.OpClose, config())
			if got := l.read("/etc/resolv.conf"); got != theirs {
				t.Errorf("got %q, want theirs", got)
			}
			if got := l.sh("ls /etc /var/lib/intercept-netd 2>/dev/null; true"); strings.Contains(got, "intercept") && !strings.Contains(got, "/var/lib/intercept-netd:\n\n") {
				t.Errorf("something stays: %s", got)
			}
		})
	}
}

func TestResolvConfEdited(t *testing.T) {
	l := newLaptop(t)
	l.serve()
	s := l.session()
	s.must(handover.OpOpen, config())
	l.sh("echo '# a note of mine' >>/etc/resolv.conf")
	s.must(handover.OpClose, config())
	if got := l.read("/etc/resolv.conf"); got != ownConf {
		t.Errorf("got %q", got)
	}
	if got := l.read("/etc/resolv.conf.edited-while-intercepted"); !strings.Contains(got, "# a note of mine") {
		t.Errorf("the edit is lost: %q", got)
	}
}

// Namespaces that share /var/lib, but not /etc/resolv.conf, leave each other's
// copy alone.
func TestSharedCopies(t *testing.T) {
	const mount = "mv /etc/resolv.conf /run/mounted; touch /etc/resolv.conf; mount --bind /run/mounted /etc/resolv.conf"
	a, b := newLaptop(t), newLaptop(t)
	lib := t.TempDir()
	for _, l := range []*laptop{a, b} {
		l.sh(mount + "; mount --bind " + lib + " /var/lib")
	}
	a.serve()
	s := a.session()
	s.must(handover.OpOpen, config())
	b.run(b.netd, "undo")
	b.serve()
	other := b.session()
	other.must(handover.OpOpen, config())
	other.must(handover.OpClose, handover.Config{})
	s.must(handover.OpClose, handover.Config{})
	for _, l := range []*laptop{a, b} {
		if got := l.read("/etc/resolv.conf"); got != ownConf {
			t.Errorf("got %q", got)
		}
	}
}
