//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// mountPoint is the line of add that says where the volumes are.
var mountPoint = regexp.MustCompile(`(?m)^ +Volume Mount Point *: (\S+)`)

// volumesAt returns where add says that the volumes are, as the laptop sees it.
func volumesAt(l *lab.Lab, said string) string {
	l.Helper()
	m := mountPoint.FindStringSubmatch(said)
	if m == nil {
		l.Fatalf("no mount point in: %s", said)
	}
	return m[1]
}

// fileIs waits until a file has a content.
func fileIs(l *lab.Lab, path, want string) {
	l.Helper()
	l.Until(path+" is there", func() error {
		got, err := os.ReadFile(path)
		if err == nil && string(got) != want {
			err = fmt.Errorf("it has %q", got)
		}
		return err
	})
}

// isUnmounted waits until a folder of our own is gone.
func isUnmounted(l *lab.Lab, dir string) {
	l.Helper()
	l.Until(dir+" is gone", func() error {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("it is there: %v", err)
		}
		return nil
	})
}

// TestFiles: the volumes of a container are on the laptop as the container has them, with
// what its process may do, for as long as the intercept.
func TestFiles(t *testing.T) {
	for level, inject := range map[string]string{"privileged": "ephemeral", "restricted": "sidecar"} {
		t.Run(inject, func(t *testing.T) {
			l := lab.New(t, clusters)
			enforce(l, level)
			l.Apply("files.yaml")
			alice := l.Laptop("alice")
			add := []string{"add", "deploy/quote", "--port", alice.Serve("alice").To("http"), "--inject", inject}
			mounted := volumesAt(l, alice.Intercept(append(add, "--mount")...).Out)
			dir := alice.Root() + mounted // the laptop has mounts of its own

			pod := func() string { return fmt.Sprintf("/proc/%d/root", l.Process(l.Pod(), "-listen=:8080")) }
			const token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
			text, err := os.ReadFile(pod() + token)
			l.Must(err)
			fileIs(l, dir+token, string(text))
			fileIs(l, dir+"/etc/quote/color", "green")
			fileIs(l, dir+"/etc/credentials/password", "geheim")

			// What is written here is there, by the container's user.
			l.Must(os.WriteFile(dir+"/data/here", []byte("from the laptop"), 0o600))
			fileIs(l, pod()+"/data/here", "from the laptop")
			var stat unix.Stat_t
			if l.Must(unix.Stat(pod()+"/data/here", &stat)); stat.Uid != 1000 {
				t.Errorf("the file is user %d's", stat.Uid)
			}
			// What the container's process may not do, nobody may here.
			if err := os.WriteFile(dir+"/etc/quote/color", nil, 0o600); !errors.Is(err, unix.EROFS) {
				t.Errorf("write to a ConfigMap: %v", err)
			}
			l.Must(os.WriteFile(pod()+"/data/closed", []byte("closed"), 0o600)) // root's
			if _, err := os.ReadFile(dir + "/data/closed"); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("read what is root's: %v", err)
			}
			// Links do not lead out, neither into the container nor onto this laptop.
			for name, to := range map[string]string{"absolute": "/quote", "dots": "../../../../etc/hostname", "proc": "/proc/1/root/etc/hostname"} {
				l.Must(os.Symlink(to, pod()+"/data/"+name))
				if text, err := os.ReadFile(dir + "/data/" + name); err == nil {
					t.Errorf("a link to %s has %q", to, text)
				}
			}
			for _, name := range []string{"/hidden", "/stays", "/etc/hosts", "/etc/resolv.conf", "/proc", "/dev", "/quote"} {
				if _, err := os.Lstat(dir + name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is there: %v", name, err)
				}
			}

			// The pod is replaced, and the volumes are those of the next one.
			before := l.Pod().Name
			alice.Kubectl("delete", "pod", before)
			l.Until("another pod runs", func() error {
				for _, p := range l.Pods() {
					if p.Name == before {
						return errors.New("the pod is there")
					}
				}
				return nil
			})
			l.Ready()
			l.Must(os.WriteFile(pod()+"/data/anew", []byte("another pod"), 0o644))
			fileIs(l, dir+"/data/anew", "another pod")

			// A session that is killed leaves a mount, which its successor replaces.
			for _, pid := range alice.Sessions() {
				l.Must(syscall.Kill(pid, syscall.SIGKILL))
			}
			said := alice.Intercept(add...).Out // nothing typed: what was there stays
			if at := mountPoint.FindStringSubmatch(said); at != nil && at[1] != mounted {
				t.Errorf("the volumes are at %s now, and were at %s", at[1], mounted)
			}
			fileIs(l, dir+"/data/anew", "another pod")
			alice.Intercept("leave", "quote")
			isUnmounted(l, dir)
		})
	}
}

// TestFilesAsAsked: the folder, :ro, a copy, nothing, and the environment of a command.
func TestFilesAsAsked(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("files.yaml")
	alice := l.Laptop("alice")
	add := []string{"add", "deploy/quote", "--port", alice.Serve("alice").To("http")}

	dir := filepath.Join(alice.Home, "pod")
	if at := volumesAt(l, alice.Intercept(append(add, "--mount="+dir+":ro")...).Out); at != dir {
		t.Errorf("the volumes are at %s, not at %s", at, dir)
	}
	here := alice.Root() // the laptop has mounts of its own
	fileIs(l, here+dir+"/etc/quote/color", "green")
	if err := os.WriteFile(here+dir+"/data/here", nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write with :ro: %v", err)
	}

	o := alice.Intercept(append(add, "--mount=copy")...)
	isUnmounted(l, here+dir)
	copied := volumesAt(l, o.Out)
	if !strings.Contains(o.Err, "The volumes are copied to "+copied) {
		t.Errorf("it said %s", o.Err)
	}
	fileIs(l, here+copied+"/etc/quote/color", "green")
	if o := alice.Intercept(append(add, "--mount=false")...); strings.Contains(o.Out, "Volume Mount Point") {
		t.Error("there is a mount point")
	}
	isUnmounted(l, here+copied)
	alice.Intercept("leave", "quote")

	o = alice.Intercept(append(add, "--", "sh", "-c", `cat "$INTERCEPT_ROOT/etc/quote/color" && echo " $INTERCEPT_ROOT $TELEPRESENCE_ROOT $TELEPRESENCE_MOUNTS"`)...)
	at := volumesAt(l, o.Err)
	if want := "green " + at + " " + at + " /data:/etc/credentials:/etc/quote:/var/run/secrets/kubernetes.io/serviceaccount\n"; o.Out != want {
		t.Errorf("the command reads %q, want %q", o.Out, want)
	}
	isUnmounted(l, here+at)
}
