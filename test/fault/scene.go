//go:build linux

package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// Modes are how the agent is in the pod.
const (
	Ephemeral = "ephemeral"
	Sidecar   = "sidecar"
)

// node is the node with the pod, and with the callers.
const node = "node-2"

// scene is a laptop that has ports of a pod, under load.
type scene struct {
	*lab.Lab
	mode  string
	alice *lab.Laptop
	netd  *exec.Cmd
	rec   *recorder
	load  *load

	global, personal []string // what alice types
	before           map[string]int
	relay            string // that had the session when the round began
	own              string // the laptop's own name server
}

const user = "alice"

// open brings up the scene in a namespace of its own. The load begins, and goes on until ctx
// ends.
func open(ctx context.Context, l *lab.Lab, mode string) (s *scene, wait func()) {
	l.Helper()
	note := ""
	if mode == Sidecar {
		note = "kubectl-intercept.dev/inject: enabled"
	}
	l.Apply("fault.yaml", "NOTE", note)
	s = &scene{Lab: l, mode: mode, alice: l.Laptop(user), rec: &recorder{}}
	s.load = &load{rec: s.rec, laptop: user, caller: l.Nodes[1], away: s.alice.Space}
	plain, _, err := net.SplitHostPort(l.Serving("plain", "http"))
	l.Must(err)
	s.load.plain = plain
	s.netd = s.alice.ServeNetd()
	l.Must(until(ctx, lab.Patience, s.sidecar(ctx)))
	l.Must(s.find(ctx))
	s.before = s.left(ctx)
	program := s.alice.Handle(s.load.answer)
	echo := s.alice.Listen(func(c net.Conn) {
		defer c.Close()
		_, _ = io.Copy(c, c) // the caller judges
	})
	s.global = []string{"add", "quote", "--name", "whole", "--inject", mode, "--port", program.To("whole"), "--port", echo.To("bulk"),
		"--port", s.alice.ServeUDP(user).To("udp/udp")}
	s.personal = []string{"add", "quote", "--name", "mine", "--inject", mode, "--port", s.alice.Handle(s.load.answer).To("mine"), "--match", userHeader + "=" + user}
	s.join()
	return s, s.load.start(ctx)
}

// sidecar returns a condition: the pod has a sidecar, in that mode. A pod that is made while
// traffic-managers are replaced may have none, and another one is made.
func (s *scene) sidecar(ctx context.Context) func() error {
	return func() error {
		p, err := s.quote(ctx)
		if err != nil || s.mode != Sidecar || len(p.Spec.Containers) > 1 {
			return err
		}
		s.Logf("pod %s has no sidecar", p.Name)
		return errors.Join(errors.New("the pod has no sidecar"), s.renew(ctx))
	}
}

// join has alice take the ports and the network.
func (s *scene) join() {
	s.Helper()
	s.alice.Intercept("connect")
	s.alice.Intercept(s.global...)
	s.alice.Intercept(s.personal...)
}

// find learns the address of the pod.
func (s *scene) find(ctx context.Context) error {
	p, err := s.quote(ctx)
	if err == nil {
		s.load.pod.Store(&p.Status.PodIP)
	}
	return err
}

// quote returns the pod whose ports are taken.
func (s *scene) quote(ctx context.Context) (*corev1.Pod, error) {
	var list corev1.PodList
	if err := s.Client.List(ctx, &list, client.InNamespace(s.Namespace), client.MatchingLabels{"app": "quote"}); err != nil {
		return nil, err
	}
	for i := range list.Items {
		if p := &list.Items[i]; p.DeletionTimestamp == nil && ready(p) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%d pods of quote, and none is ready", len(list.Items))
}

// managers returns the pods of the traffic-manager, once want are ready.
func (s *scene) managers(ctx context.Context, want int) (pods []corev1.Pod, err error) {
	return pods, until(ctx, lab.Patience, func() error {
		var list corev1.PodList
		pods = nil
		if err := s.Client.List(ctx, &list, client.InNamespace(lab.ManagerNamespace), client.MatchingLabels{"app.kubernetes.io/name": "traffic-manager"}); err != nil {
			return err
		}
		for _, p := range list.Items {
			if p.DeletionTimestamp == nil && ready(&p) {
				pods = append(pods, p)
			}
		}
		if len(pods) != want || len(list.Items) != want {
			return fmt.Errorf("%d traffic-managers are ready, want %d", len(pods), want)
		}
		return nil
	})
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// renew has a new pod replace the one whose ports are taken.
func (s *scene) renew(ctx context.Context) error {
	p, err := s.quote(ctx)
	if err != nil {
		return err
	}
	if err := s.Client.Delete(ctx, p); err != nil {
		return err
	}
	return until(ctx, lab.Patience, func() error { return s.find(ctx) })
}

// status is what the session says of itself.
func (s *scene) status() (status lab.Status, err error) {
	out, err := s.alice.RunQuiet("status", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &status)
	}
	return status, err
}

// steady waits until all of the load works.
func (s *scene) steady(ctx context.Context) error {
	if err := until(ctx, lab.Patience, func() error { return s.find(ctx) }); err != nil {
		return err
	}
	s.rec.open()
	defer s.rec.close()
	s.rec.expect()
	if err := s.settles(ctx); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	status, err := s.status()
	s.relay = status.Session.Relay
	return err
}

// settles waits until all of the load works again.
func (s *scene) settles(ctx context.Context) error {
	return until(ctx, lab.Patience, func() error {
		if why := s.rec.settled(user); why != "" {
			return errors.New(why)
		}
		return nil
	})
}

// until waits until the condition returns nil.
func until(ctx context.Context, limit time.Duration, condition func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		}
	}
}

// leave has alice give everything back, and returns what is left of it. Then she takes it again.
func (s *scene) leave(ctx context.Context) map[string]int {
	s.Helper()
	s.alice.Intercept("leave", "whole")
	s.alice.Intercept("leave", "mine")
	s.alice.Intercept("disconnect")
	s.alice.Intercept("quit")
	var more map[string]int
	_ = until(ctx, 10*time.Second, func() error { // what is left then is the result
		more = map[string]int{}
		var names []string
		for what, n := range s.left(ctx) {
			more[what] = max(0, n-s.before[what])
			if more[what] > 0 {
				names = append(names, what)
			}
		}
		if len(names) > 0 {
			return errors.New(strings.Join(names, ", "))
		}
		return nil
	})
	return more
}

// left counts what the product may leave on the pod and on the laptop.
func (s *scene) left(ctx context.Context) map[string]int {
	s.Helper()
	n := map[string]int{}
	var p *corev1.Pod
	s.Must(until(ctx, lab.Patience, func() (err error) { // a node that was away is not ready for a moment
		p, err = s.quote(ctx)
		return err
	}))
	n["rules"] = len(s.Redirects(p))
	n["processes"] = len(s.alice.Sessions())
	for what, command := range map[string]string{
		"mounts": "cat /proc/self/mounts", "routes": "ip route", "links": "ip -o link | grep intercept || true",
		"lines of resolv.conf": "grep nameserver /etc/resolv.conf | grep -v " + s.resolver(ctx) + " || true"} {
		out, err := s.alice.Command(ctx, "sh", "-c", command).Output()
		s.Must(err)
		n[what] = strings.Count(string(out), "\n")
	}
	return n
}

// resolver is the laptop's own name server, which was there before.
func (s *scene) resolver(ctx context.Context) string {
	if s.before == nil {
		out, err := s.alice.Command(ctx, "cat", "/etc/resolv.conf").Output()
		s.Must(err)
		for line := range strings.Lines(string(out)) {
			if at, ok := strings.CutPrefix(line, "nameserver "); ok {
				s.own = strings.TrimSpace(at)
			}
		}
	}
	return s.own
}

// restarted deletes traffic-managers whose container has ended, so that the kubelet does not
// wait longer each time before it starts one.
func (s *scene) restarted(ctx context.Context) error {
	pods, err := s.managers(ctx, replicas)
	if err != nil {
		return err
	}
	for _, p := range pods {
		if p.Status.ContainerStatuses[0].RestartCount == 0 {
			continue
		}
		if err := s.Client.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}}); err != nil {
			return err
		}
	}
	_, err = s.managers(ctx, replicas)
	return err
}
