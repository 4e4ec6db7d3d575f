//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// get is a program that is on every machine: bash with its own sockets. It
// finds names as any program does, by the C library.
const get = `get() { exec 3<>"/dev/tcp/$1/$2" || return; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3; exec 3>&-; }
`

// ordinary is a laptop whose commands run as an ordinary user, with what udev
// gives to all users: a TUN device that they may open.
type ordinary struct {
	*lab.Laptop
	lab *lab.Lab
	uid int
	tun string
}

func ordinaryUser(l *lab.Lab, p *lab.Laptop, uid int) *ordinary {
	l.Helper()
	text, err := os.ReadFile(p.Kubeconfig)
	l.Must(err)
	p.Kubeconfig = filepath.Join(p.Home, "kubeconfig-"+filepath.Base(l.TempDir()))
	l.Must(os.WriteFile(p.Kubeconfig, text, 0o600))
	l.Must(os.Chmod(filepath.Dir(p.Home), 0o711)) // the testing package makes it for root alone
	for _, path := range []string{p.Home, p.Kubeconfig} {
		l.Must(os.Chown(path, uid, uid))
	}
	tun := filepath.Join(l.TempDir(), "tun")
	l.Must(unix.Mknod(tun, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))))
	l.Must(os.Chmod(tun, 0o666))
	return &ordinary{Laptop: p, lab: l, uid: uid, tun: tun}
}

// command is one of the plugin, in the namespace.
func (o *ordinary) command(namespace string, args ...string) *exec.Cmd {
	args = slices.Insert(args, 1, "-n", namespace)
	id := fmt.Sprint(o.uid)
	cmd := o.Command(o.lab.Context(), "unshare", append([]string{"--mount", "sh", "-c",
		`mount --bind "$0" /dev/net/tun && exec setpriv --reuid ` + id + ` --regid ` + id + ` --clear-groups "$@"`,
		o.tun, o.lab.Bin("kubectl-intercept")}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// output runs it to its end.
func (o *ordinary) output(namespace string, args ...string) (out, errs string, code int) {
	o.lab.Helper()
	cmd := o.command(namespace, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.lab.Fatal(err)
	}
	o.lab.Logf("%s$ kubectl intercept %s: %d\n%s%s", o.User, strings.Join(args, " "), cmd.ProcessState.ExitCode(), &stdout, &stderr)
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// running is a command that has not ended yet.
type running struct {
	*exec.Cmd
	mu   sync.Mutex
	text strings.Builder
	done chan struct{}
}

// Write takes what the command prints.
func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *running) printed() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (o *ordinary) begin(namespace string, args ...string) *running {
	o.lab.Helper()
	r := &running{Cmd: o.command(namespace, args...), done: make(chan struct{})}
	r.Stdout, r.Stderr = r, r
	o.lab.Must(r.Start())
	go func() {
		_ = r.Wait() // the test looks at the state
		close(r.done)
	}()
	o.lab.Cleanup(func() {
		_ = r.Process.Kill() // it may have ended
		<-r.done
		if o.lab.Failed() {
			o.lab.Logf("%s$ kubectl intercept %s\n%s", o.User, strings.Join(args, " "), r.printed())
		}
	})
	return r
}

// says waits until the command has printed a text.
func (o *ordinary) says(r *running, text string) {
	o.lab.Helper()
	o.lab.Until(fmt.Sprintf("the program says %q", text), func() error {
		if strings.Contains(r.printed(), text) {
			return nil
		}
		return fmt.Errorf("it said %q", r.printed())
	})
}

// ends waits until it has ended, and returns its exit code.
func (o *ordinary) ends(r *running) int {
	o.lab.Helper()
	select {
	case <-r.done:
	case <-time.After(lab.Patience):
		o.lab.Fatalf("the command does not end: %s", r.printed())
	}
	return r.ProcessState.ExitCode()
}

// TestRun: a program of an ordinary user is inside the cluster and everything
// else is as it was, for the program and for the laptop.
func TestRun(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.Serving("quote", "http")
	alice := ordinaryUser(l, l.Laptop("alice"), 12345)
	before := unchanged(l, alice)

	pod := l.Pod().Status.PodIP
	for _, target := range []string{"quote 80", "quote." + l.Namespace + " 80", "quote." + l.Namespace + ".svc.cluster.local 80", pod + " 8080"} {
		out, _, code := alice.output(l.Namespace, "run", "--", "bash", "-c", get+"get "+target)
		if code != 0 || !strings.Contains(out, "answered by "+lab.Application) {
			t.Errorf("%s: exit code %d: %s", target, code, out)
		}
	}

	// It is the very user, without rights, and its code is the command's.
	out, _, code := alice.output(l.Namespace, "run", "--", "sh", "-c", "id -u; id -g; grep -E 'Cap(Prm|Eff|Inh|Amb)' /proc/self/status; exit 7")
	if code != 7 || !strings.HasPrefix(out, "12345\n12345\n") || strings.Count(out, "\t0000000000000000\n") != 4 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, _, code := alice.output(l.Namespace, "run", "--", "sh", "-c", "kill -TERM $$"); code != 143 {
		t.Errorf("a program that was ended by SIGTERM: exit code %d", code)
	}
	if _, errs, code := alice.output(l.Namespace, "run", "--", "no-such-program"); code != 1 || !strings.Contains(errs, "error: start no-such-program: ") {
		t.Errorf("exit code %d: %s", code, errs)
	}

	// Low ports, and echo sockets without rights.
	out, _, code = alice.output(l.Namespace, "run", "--", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/net/ipv4/ping_group_range")
	if want := []string{"0", "12345", "12345"}; code != 0 || !slices.Equal(strings.Fields(out), want) {
		t.Errorf("exit code %d: %s", code, out)
	}

	// The laptop's own network: a neighbor, and what the laptop listens on.
	ln, err := alice.Space.Listen("0.0.0.0:0")
	l.Must(err)
	defer ln.Close()
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the laptop") }))
	port := ln.Addr().(*net.TCPAddr).Port
	address := strings.Fields(laptop(l, alice, "hostname", "-I"))[0]
	api := strings.TrimPrefix(alice.Config().Host, "https://")
	host, apiPort, err := net.SplitHostPort(api)
	l.Must(err)
	out, _, code = alice.output(l.Namespace, "run", "--", "bash", "-c",
		get+fmt.Sprintf("get %s %d; exec 4<>/dev/tcp/%s/%s && echo the API server; get 127.0.0.1 %d || echo own localhost", address, port, host, apiPort, port))
	for _, want := range []string{"the laptop\n", "the API server\n", "own localhost\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit code %d, not %q: %s", code, want, out)
		}
	}
	if after := unchanged(l, alice); after != before {
		t.Errorf("the laptop's files are not what they were:\n%s\n%s", before, after)
	}
}

// unchanged is what a laptop must not see changed.
func unchanged(l *lab.Lab, o *ordinary) string {
	return laptop(l, o, "sh", "-c", "cat /etc/resolv.conf /etc/nsswitch.conf; ip -4 address; ip route; ls /sys/class/net")
}

// laptop runs a program of this machine on the laptop, as root.
func laptop(l *lab.Lab, o *ordinary, args ...string) string {
	l.Helper()
	cmd := o.Command(l.Context(), args[0], args[1:]...)
	out, err := cmd.Output()
	l.Must(err)
	return string(out)
}

// TestRunServes: the program's ports, on a localhost of its own, serve an
// intercept, and the laptop where they are published. At the end, however it
// comes, nothing is left.
func TestRunServes(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("ports.yaml")
	addr, udp := l.Serving("many", "http"), l.Service("many", "dns")
	alice := ordinaryUser(l, l.Laptop("alice"), 12345)
	taken := alice.Serve("the laptop's own")
	free, err := alice.Space.Listen("127.0.0.1:0")
	l.Must(err)
	published := free.Addr().(*net.TCPAddr).Port
	free.Close()

	program := []string{"run", "deploy/many", "--service", "many", "--port", taken.To("http"), "--port", "5353:dns/udp",
		"--publish", fmt.Sprintf("%d:%d", published, taken.Port), "--",
		l.Bin("quote"), "-name", "inside", "-listen", fmt.Sprintf("127.0.0.1:%d", taken.Port), "-udp", "127.0.0.1:5353"}
	for _, signal := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
		r := alice.begin(l.Namespace, program...)
		l.Eventually(addr, "inside")
		l.Until("datagrams reach the program", func() error {
			ctx, cancel := context.WithTimeout(l.Context(), 5*time.Second)
			defer cancel()
			who, err := l.Nodes[0].AskUDP(ctx, udp)
			if err == nil && who != "inside" {
				err = fmt.Errorf("answered by %s", who)
			}
			return err
		})
		if who, err := alice.Ask(l.Context(), fmt.Sprintf("127.0.0.1:%d", published)); err != nil || who != "inside" {
			t.Errorf("the published port: answered by %q, %v", who, err)
		}
		l.Must(r.Process.Signal(signal))
		if code := alice.ends(r); signal == unix.SIGTERM && code != 0 { // quote ends well on it
			t.Errorf("exit code %d: %s", code, r.printed())
		}
		l.Gone("many")
		l.Eventually(addr, lab.Application)
		l.Until("no process is left", func() error {
			if left := processesWith(fmt.Sprintf("127.0.0.1:%d", taken.Port)); len(left) > 0 {
				return fmt.Errorf("%v", left)
			}
			return nil
		})
		if _, err := alice.Ask(l.Context(), fmt.Sprintf("127.0.0.1:%d", published)); err == nil {
			t.Error("the published port answers after the end")
		}
	}
	if who, err := alice.Ask(l.Context(), fmt.Sprintf("127.0.0.1:%d", taken.Port)); err != nil || who != "the laptop's own" {
		t.Errorf("the laptop's own port: answered by %q, %v", who, err)
	}
}

// processesWith are the command lines with a text in them.
func processesWith(text string) (lines []string) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range list {
		if b, _ := os.ReadFile(path); strings.Contains(string(b), text) {
			lines = append(lines, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return lines
}

// TestRunSeveral: two users' programs, each in its namespace, listen on the
// same port and do not see each other.
func TestRunSeveral(t *testing.T) {
	l := lab.New(t, clusters)
	other := l.Another()
	for _, one := range []*lab.Lab{l, other} {
		one.Apply("quote.yaml")
		one.Serving("quote", "http")
	}
	p := l.Laptop("alice")
	l.Allow("alice", "edit", other.Namespace)
	alice := ordinaryUser(l, p, 12345)
	bob := ordinaryUser(other, other.Laptop("bob"), 23456)
	script := get + "get quote 80; " + l.Bin("quote") + ` -name "$0" -listen 127.0.0.1:8080`
	begin := func(o *ordinary, namespace, name string) *running {
		return o.begin(namespace, "run", "deploy/quote", "--port", "8080:http", "--", "bash", "-c", script, name)
	}
	first := begin(alice, l.Namespace, "first")
	second := begin(bob, other.Namespace, "second")
	l.Eventually(l.Service("quote", "http"), "first")
	other.Eventually(other.Service("quote", "http"), "second")

	// A third in the first user's session, in the other namespace.
	out, _, code := alice.output(other.Namespace, "run", "--", "bash", "-c", get+"get quote 80; cat /etc/resolv.conf")
	if code != 0 || !strings.Contains(out, "answered by second") || !strings.Contains(out, "search "+other.Namespace+".svc.cluster.local ") {
		t.Errorf("exit code %d: %s", code, out)
	}
	l.Must(first.Process.Signal(unix.SIGTERM))
	alice.ends(first)
	l.Gone("quote")
	l.Eventually(l.Service("quote", "http"), lab.Application)
	other.Answers(other.Service("quote", "http"), "second")
	l.Must(second.Process.Signal(unix.SIGTERM))
	bob.ends(second)
}

// TestRunClusters: two programs on one laptop, each in a cluster of its own.
// Both clusters have the same networks and names.
func TestRunClusters(t *testing.T) {
	l := lab.New(t, clusters)
	there := l.Elsewhere(clusters)
	for _, one := range []*lab.Lab{l, there} {
		one.Apply("quote.yaml")
		one.Serving("quote", "http")
	}
	alice := ordinaryUser(l, l.Laptop("alice"), 12345)
	second := *alice.Laptop
	second.Kubeconfig = reroute(there, alice.Laptop, there.Laptop("alice"), 0)
	away := ordinaryUser(l, &second, 12345)
	script := get + "get quote 80; " + l.Bin("quote") + ` -name "$0" -listen 127.0.0.1:8080`
	programs := map[*lab.Lab]*running{}
	for one, user := range map[*lab.Lab]*ordinary{l: alice, there: away} {
		programs[one] = user.begin(one.Namespace, "run", "deploy/quote", "--port", "8080:http", "--", "bash", "-c", script, "the laptop")
	}
	for one, user := range map[*lab.Lab]*ordinary{l: alice, there: away} {
		user.says(programs[one], "answered by the cluster ("+one.Pod().Name+")")
		one.Eventually(one.Service("quote", "http"), "the laptop")
	}
	for one, user := range map[*lab.Lab]*ordinary{l: alice, there: away} {
		one.Answers(one.Service("quote", "http"), "the laptop")
		l.Must(programs[one].Process.Signal(unix.SIGTERM))
		user.ends(programs[one])
		one.Gone("quote")
		one.Eventually(one.Service("quote", "http"), lab.Application)
	}
}

// TestRunSessionDies: a session that is killed is replaced; programs hear that
// their connections broke, and go on.
func TestRunSessionDies(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("ports.yaml")
	addr := l.Serving("many", "http")
	alice := ordinaryUser(l, l.Laptop("alice"), 12345)
	script := `exec 3<>/dev/tcp/many/80 && echo connected; cat <&3 && echo "no reset" || echo reset
` + get + `until get many 81; do :; done; ` + l.Bin("quote") + " -name inside -listen 127.0.0.1:8080"
	r := alice.begin(l.Namespace, "run", "many", "--service", "many", "--port", "8080:http", "--", "bash", "-c", script)
	alice.says(r, "connected")
	for _, pid := range alice.Sessions() {
		l.Must(unix.Kill(pid, unix.SIGKILL))
	}
	alice.says(r, "reset")
	if strings.Contains(r.printed(), "no reset") {
		t.Error("the connection ended well")
	}
	alice.says(r, "answered by "+lab.Application)
	l.Eventually(addr, "inside")
	l.Must(r.Process.Signal(unix.SIGTERM))
	alice.ends(r)
	l.Gone("many")
}

// TestRunForbidden: what the machine does not let a user have is named.
func TestRunForbidden(t *testing.T) {
	l := lab.New(t, clusters)
	alice := ordinaryUser(l, l.Laptop("alice"), 12345)
	l.Must(os.Chmod(alice.tun, 0o600))
	if _, errs, code := alice.output(l.Namespace, "run", "--", "true"); code != 1 || !strings.Contains(errs, "sudo chmod 0666 /dev/net/tun") || !strings.Contains(errs, "connect --proxy") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if s := alice.Sessions(); len(s) > 0 {
		t.Errorf("sessions %v were started for nothing", s)
	}
}
