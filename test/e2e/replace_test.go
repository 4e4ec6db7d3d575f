//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// probedOften are probes that restart the container of the consumer, or take its pod out of
// the Service, at once. One of them is of a port that no Service has.
const probedOften = `livenessProbe: {httpGet: {path: /healthz, port: 8081}, periodSeconds: 1, failureThreshold: 2}
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1, failureThreshold: 2}`

// consumers is a queue and who claims its jobs.
type consumers struct {
	*lab.Lab
	queue string
}

func newConsumers(l *lab.Lab, probes string) *consumers {
	l.Apply("queue.yaml", "# PROBES", probes)
	c := &consumers{l, l.Serving("queue", "http")}
	c.works(lab.Application, 0)
	return c
}

// works waits until a consumer has claimed more jobs than a number, and returns how many.
func (c *consumers) works(name string, than int) (n int) {
	c.Helper()
	c.Until(fmt.Sprintf("%s claims more than %d jobs", name, than), func() (err error) {
		if n, err = c.now(name); err == nil && n <= than {
			err = fmt.Errorf("it has claimed %d", n)
		}
		return err
	})
	return n
}

// now is how many jobs a consumer has claimed.
func (c *consumers) now(name string) (int, error) {
	client := c.Nodes[0].HTTP()
	defer client.CloseIdleConnections()
	r, err := client.Get("http://" + c.queue + "/claims")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	var all map[string]int
	err = json.NewDecoder(r.Body).Decode(&all)
	return all[name], err
}

// worker is the pod of the consumer.
func (c *consumers) worker() *corev1.Pod {
	c.Helper()
	for _, p := range c.Pods() {
		if p.Labels["app"] == "worker" {
			return &p
		}
	}
	c.Fatal("there is no worker")
	return nil
}

// rests says that the application claims nothing while the laptop claims many jobs.
func (c *consumers) rests() {
	c.Helper()
	before, err := c.now(lab.Application)
	c.Must(err)
	laptop, err := c.now("the laptop")
	c.Must(err)
	c.works("the laptop", laptop+50)
	if after, err := c.now(lab.Application); err != nil || after != before {
		c.Errorf("the application had claimed %d jobs and has %d, %v, while the laptop claimed 50", before, after, err)
	}
}

// TestReplace: with --mode replace a consumer of a queue does nothing, in its pod and without a
// restart, while the laptop does its work. It goes on whatever ends the intercept.
func TestReplace(t *testing.T) {
	for _, level := range []string{"privileged", "restricted"} {
		t.Run(level, func(t *testing.T) {
			l := lab.New(t, clusters)
			enforce(l, level)
			probes := ""
			if level == "privileged" {
				probes = probedOften
			}
			c := newConsumers(l, probes)
			alice, bob := ordinaryUser(l, l.Laptop("alice"), 12345), l.Laptop("bob")
			lives := l.Lives()
			r := alice.begin(l.Namespace, "run", "deploy/worker", "--mode", "replace", "--",
				l.Bin("quote"), "-name", "the laptop", "-listen", "127.0.0.1:0", "-work", "http://queue")
			c.works("the laptop", 0)
			c.rests()
			if got := bob.Intercept("list").Out; !strings.Contains(got, "replaced by alice") {
				t.Errorf("list says\n%s", got)
			}
			if got, _, _ := alice.output(l.Namespace, "status"); !strings.Contains(got, ": container worker in 1 pod\n") {
				t.Errorf("status says\n%s", got)
			}
			bob.Refused([]string{"add", "deploy/worker", "--mode", "replace"}, "container worker of deployment/worker is replaced by alice since ")
			if o := bob.Intercept("add", "deploy/worker", "--mode", "ingest", "--mount=false", "--env-file", bob.Home+"/env"); !strings.Contains(o.Out, "ingested") {
				t.Errorf("beside a replacement, ingest says\n%s", o.Out)
			}
			bob.Intercept("leave", "--all")

			// A crash of the agent lets the application go on, until there is another agent.
			worked, err := c.now(lab.Application)
			l.Must(err)
			l.Must(syscall.Kill(l.Process(c.worker(), "traffic-agent\x00container"), syscall.SIGKILL))
			c.works(lab.Application, worked)
			c.stops()
			if level == "privileged" {
				c.withoutManager()
			}

			l.Must(r.Process.Signal(unix.SIGTERM))
			alice.ends(r)
			worked, err = c.now(lab.Application)
			l.Must(err)
			c.works(lab.Application, worked)
			if level == "privileged" {
				c.withPort(l.Laptop("carol"))
			}
			if now := l.Lives(); now != lives {
				t.Errorf("pods were\n%s\nand are\n%s", lives, now)
			}
		})
	}
}

// stops waits until the application claims nothing while the laptop claims jobs.
func (c *consumers) stops() {
	c.Helper()
	c.Until("the application is stopped", func() error {
		before, err := c.now(lab.Application)
		c.Must(err)
		laptop, err := c.now("the laptop")
		c.Must(err)
		c.works("the laptop", laptop+10)
		if now, err := c.now(lab.Application); err != nil || now != before {
			return fmt.Errorf("the application had claimed %d jobs and has %d, %v", before, now, err)
		}
		return nil
	})
	c.rests()
}

// withoutManager: the application goes on when the traffic-manager stays away, and stops when
// it is back.
func (c *consumers) withoutManager() {
	c.Helper()
	replicas := func(n string) {
		c.Helper()
		_, err := kubectl(c.Lab, "scale", "deploy/traffic-manager", "-n", lab.ManagerNamespace, "--replicas="+n)
		c.Must(err)
	}
	worked, err := c.now(lab.Application)
	c.Must(err)
	replicas("0")
	defer replicas("1")
	c.works(lab.Application, worked)
	replicas("1")
	c.stops()
}

// withPort replaces a container that has callers, whom the laptop answers. It ends with a
// session that is killed.
func (c *consumers) withPort(carol *lab.Laptop) {
	c.Helper()
	addr := c.Serving("worker", "http")
	program := carol.Serve("carol")
	o := carol.Intercept("add", "deploy/worker", "--mode", "replace", "--port", program.To("http"))
	for _, line := range []string{"deployment.apps/worker replaced\n", ": container worker in 1 pod\n", ": all TCP connections\n"} {
		if !strings.Contains(o.Out, line) {
			c.Errorf("add does not say %q:\n%s", line, o.Out)
		}
	}
	c.Eventually(addr, "carol")
	worked, err := c.now(lab.Application)
	c.Must(err)
	program.Close()
	c.Until("callers hear that the application does not run", func() error {
		client := c.Nodes[0].HTTP()
		defer client.CloseIdleConnections()
		r, err := client.Get("http://" + addr)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("they get %s", r.Status)
		}
		return nil
	})
	if now, err := c.now(lab.Application); err != nil || now != worked {
		c.Errorf("the application had claimed %d jobs and has %d, %v", worked, now, err)
	}
	for _, pid := range carol.Sessions() {
		c.Must(syscall.Kill(pid, syscall.SIGKILL))
	}
	c.works(lab.Application, worked)
	c.Eventually(addr, lab.Application)
	carol.Intercept("leave", "worker")
	c.Gone("worker")
}
