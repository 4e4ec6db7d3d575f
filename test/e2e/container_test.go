//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// quoteImage is what the containers of laptops run.
const quoteImage = "kubectl-intercept.dev/test/quote:dev"

// TestContainer: a container that podman runs is the pod. It has the traffic and the
// environment and the volumes, and it and the intercept end together, however they end.
func TestContainer(t *testing.T) {
	for _, inject := range []v1alpha1.InjectMode{v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
		t.Run(string(inject), func(t *testing.T) {
			l := lab.New(t, clusters)
			l.Apply("environment.yaml", "{USER}", "{}")
			quote := l.Serving("quote", "http")
			alice := l.Laptop("alice")
			address := strings.Fields(alice.Shell("hostname -I"))[0]
			podman := alice.Podman("quote")
			port := alice.Serve("nobody asks this one")
			port.Close()
			line := func(to string, args ...string) []string {
				return append([]string{"add", "deploy/quote", "--port", to, "--inject", string(inject), "--container-engine", podman, "--docker-run", "--"}, args...)
			}
			serve := line(port.To("http"), quoteImage, "-name", "alice")
			folders := func() []string {
				list, err := filepath.Glob(filepath.Join(os.TempDir(), "intercept-*"))
				l.Must(err)
				return list
			}
			before := folders() // others may have left some
			nothing := func() {
				t.Helper()
				l.Gone("quote")
				l.Eventually(quote, lab.Application)
				l.Until("no container, no file and no session is there", func() error {
					containers := alice.Quiet(podman + " ps --all --quiet").Out
					files := slices.DeleteFunc(folders(), func(f string) bool { return slices.Contains(before, f) })
					if s := alice.Sessions(); len(s) > 0 || containers != "" || len(files) > 0 {
						return fmt.Errorf("sessions %v, containers %q, files %v", s, containers, files)
					}
					return nil
				})
			}

			// Somebody leaves the intercept.
			cmd, said := begun(l, alice, serve...)
			l.Eventually(quote, "alice")
			pid := strings.TrimSpace(alice.Shell(podman + " inspect intercept-quote --format '{{.State.Pid}}'"))
			got, want := environ(l, "/proc/"+pid+"/environ"), variables(l, l.Pod(), "-listen=:8080")
			for name, value := range want {
				if v, ok := got[name]; (!ok || v != value) && !isLocal(name) {
					t.Errorf("%s is %q in the container, and %q in the pod", name, v, value)
				}
			}
			for name, value := range map[string]string{"PATH": "/", "INTERCEPT_NAME": "quote", "INTERCEPT_ROOT": "/", "TELEPRESENCE_HANDLER_CONTAINER_NAME": "intercept-quote"} {
				if got[name] != value {
					t.Errorf("%s is %q, want %q", name, got[name], value)
				}
			}
			file := "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
			if text, err := os.ReadFile("/proc/" + pid + "/root" + file); string(text) != l.Namespace {
				t.Errorf("the container has %q in %s, %v", text, file, err)
			}
			if files, _ := filepath.Glob(filepath.Join(os.TempDir(), "intercept-*", "environment")); len(files) > 0 {
				t.Errorf("the environment is in %v", files)
			}
			alice.Intercept("leave", "quote")
			l.Must(cmd.Wait()) // quote ends well on SIGTERM
			if text := "intercept quote has ended, and so has the command\n"; !strings.HasSuffix(said.String(), text) || !strings.Contains(said.String(), "Container: intercept-quote, by podman\n") {
				t.Errorf("it said %s", said)
			}
			nothing()

			// The container ends by itself, or by a key.
			cmd, said = begun(l, alice, line(port.To("http"), quoteImage, "-listen", "nowhere")...)
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "address nowhere: missing port") {
				t.Errorf("%v: %s", err, said)
			}
			nothing()
			published := fmt.Sprintf("%s:%d", address, port.Port)
			cmd, said = begun(l, alice, line(published+":7000:http", quoteImage, "-name", "alice", "-listen", ":7000")...)
			l.Eventually(quote, "alice")
			l.Must(syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
			if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), published+" is its port 7000/tcp\n") || strings.Contains(said.String(), "no address") {
				t.Errorf("%v: %s", err, said) // quote ends well on it, too
			}
			nothing()

			// Somebody kills the command that waits for it.
			cmd, _ = begun(l, alice, serve...)
			l.Eventually(quote, "alice")
			l.Must(syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
			_ = cmd.Wait() // it was killed
			nothing()

			// An intercept that cannot be has no container, and a container that cannot be no
			// intercept.
			alice.Refused(line(port.To("nothing"), quoteImage), `"nothing"`)
			alice.Refused(line(port.To("http"), "kubectl-intercept.dev/no/such:image"), "image kubectl-intercept.dev/no/such:image is not on this machine, and podman does not get it")
			nothing()
		})
	}
}

// TestContainerConnected: while this machine is connected, a container has the cluster's
// network, in a network of its own as in the machine's.
func TestContainerConnected(t *testing.T) {
	c := connected(t)
	defer c.end()
	podman := c.Podman("quote")
	ip, _, _ := strings.Cut(c.quote, ":")
	for name, flags := range map[string][]string{"own network": nil, "the machine's": {"--network", "host"}} {
		port := c.Serve("nobody asks this one")
		port.Close()
		args := append([]string{"add", "deploy/quote", "--port", port.To("http"), "--container-engine", podman, "--docker-run", "--"}, flags...)
		listen := ":8080"
		if flags != nil {
			listen = ":" + strconv.Itoa(port.Port)
		}
		cmd, said := begun(c.Lab, c.Laptop, append(args, quoteImage, "-name", name, "-listen", listen)...)
		c.Eventually(c.quote, name)
		pid := strings.TrimSpace(c.Shell(podman + " inspect intercept-quote --format '{{.State.Pid}}'"))
		resolvers, err := os.ReadFile("/proc/" + pid + "/root/etc/resolv.conf")
		c.Must(err)
		d, _, err := c.device()
		c.Must(err)
		for _, text := range []string{"nameserver " + d.DNS.String() + "\n", " " + c.Namespace + ".svc.cluster.local ", "ndots:5"} {
			if !strings.Contains(string(resolvers), text) {
				c.Errorf("%s: the container's resolv.conf has no %q: %s", name, text, resolvers)
			}
		}
		enter := "nsenter --net=/proc/" + pid + "/ns/net "
		c.Until(name+": the container resolves a name", func() error {
			o := c.Quiet(enter + "dig +short +tries=1 +time=2 @" + d.DNS.String() + " " + c.name)
			if strings.TrimSpace(o.Out) != ip {
				return fmt.Errorf("%s%s", o.Out, o.Err)
			}
			return nil
		})
		c.Until(name+": the container reaches the Service", func() error {
			o := c.Quiet(enter + "curl -sS -m 5 http://" + c.quote + "/")
			if !strings.HasPrefix(o.Out, "answered by "+name) {
				return fmt.Errorf("%s%s", o.Out, o.Err)
			}
			return nil
		})
		c.Intercept("leave", "quote")
		c.Must(cmd.Wait())
		if strings.Contains(said.String(), "does not reach the cluster") {
			c.Errorf("it said %s", said)
		}
		c.Gone("quote")
	}
}

// TestReadmeContainer types the commands of the README's section about containers. The image is
// one that is there.
func TestReadmeContainer(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := here(l, "alice")
	podman := alice.Podman("quote")
	for _, line := range block(t, "A container as the local program", "--docker-run") {
		line = strings.NewReplacer("kubectl intercept", "kubectl-intercept", "quote:dev", quoteImage+" -name container -listen :8080,:3000").Replace(line)
		cmd := alice.ShCommand(l.Context(), "exec "+line)
		cmd.Env = append(cmd.Env, "INTERCEPT_CONTAINER_ENGINE="+podman)
		said := &bytes.Buffer{}
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = said, said, time.Second
		l.Must(cmd.Start())
		l.Eventually(quote, "container")
		alice.Intercept("leave", "quote")
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v: %s", line, err, said)
		}
		l.Gone("quote")
	}
}

// TestContainerIngest: a container has the pod's environment and volumes, and the application
// keeps its traffic.
func TestContainerIngest(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("files.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	podman := alice.Podman("quote")
	cmd, said := begun(l, alice, "add", "deploy/quote", "--mode", "ingest", "--container-engine", podman, "--docker-run", "--", quoteImage, "-listen=:8080")
	var pid string
	l.Until("the container runs", func() error {
		o := alice.Quiet(podman + " inspect intercept-quote --format '{{.State.Pid}}'")
		if pid = strings.TrimSpace(o.Out); o.Failed || pid == "0" {
			return fmt.Errorf("%s%s", o.Out, o.Err)
		}
		return nil
	})
	if name := environ(l, "/proc/"+pid+"/environ")["INTERCEPT_NAME"]; name != "quote" {
		t.Errorf("INTERCEPT_NAME is %q", name)
	}
	fileIs(l, "/proc/"+pid+"/root/etc/quote/color", "green")
	l.Answers(quote, lab.Application)
	alice.Intercept("leave", "quote")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	l.Gone("quote")
}
