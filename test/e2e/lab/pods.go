//go:build linux

package lab

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// pods returns the pods of the namespace that are not being deleted.
func (l *Lab) pods() ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := l.Client.List(l.Context(), &list, client.InNamespace(l.Namespace)); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }), nil
}

// Pods returns the pods of the namespace that are not being deleted.
func (l *Lab) Pods() []corev1.Pod {
	l.Helper()
	pods, err := l.pods()
	l.Must(err)
	return pods
}

// Pod returns the only pod of the namespace.
func (l *Lab) Pod() *corev1.Pod {
	l.Helper()
	pods := l.Pods()
	if len(pods) != 1 {
		l.Fatalf("%d pods, want one", len(pods))
	}
	return &pods[0]
}

// Lives returns a text that identifies the pods and the runs of their containers. It
// stays the same unless a pod or a container was restarted.
func (l *Lab) Lives() string {
	l.Helper()
	var lives []string
	for _, p := range l.Pods() {
		for _, c := range p.Status.ContainerStatuses {
			lives = append(lives, fmt.Sprintf("%s/%s %s %d", p.UID, c.Name, c.ContainerID, c.RestartCount))
		}
	}
	slices.Sort(lives)
	return strings.Join(lives, "\n")
}

// Inside returns the pod's network namespace.
func (l *Lab) Inside(p *corev1.Pod) *Space {
	l.Helper()
	pids := podProcesses(p, "")
	if len(pids) == 0 {
		l.Fatalf("pod %s has no process", p.Name)
	}
	s, err := spaceOf(pids[0])
	l.Must(err)
	l.Cleanup(s.Close)
	return s
}

// Files returns a command line that runs another one with the files of a container in
// place of the machine's own. The container is that whose command line contains text.
func (l *Lab) Files(p *corev1.Pod, text string) string {
	l.Helper()
	return fmt.Sprintf("nsenter --target=%d --mount --root", l.Process(p, text))
}

// Processes returns the IDs of a pod's processes whose command line contains text.
func Processes(p *corev1.Pod, text string) []int { return podProcesses(p, text) }

// Process returns the ID of a pod's process whose command line contains text.
func (l *Lab) Process(p *corev1.Pod, text string) int {
	l.Helper()
	pids := podProcesses(p, text)
	if len(pids) == 0 {
		l.Fatalf("pod %s runs no %s", p.Name, text)
	}
	return pids[0]
}

var elsewhere = regexp.MustCompile(`\b(redirect|dnat|tproxy) to\b`)

// Redirects returns the nftables rules of a pod that redirect traffic. Without any,
// traffic passes as if the product were not there.
func (l *Lab) Redirects(p *corev1.Pod) []string {
	l.Helper()
	text, err := l.Inside(p).Nft("list", "ruleset")
	l.Must(err)
	var rules []string
	for line := range strings.Lines(text) {
		if elsewhere.MatchString(line) {
			rules = append(rules, strings.TrimSpace(line))
		}
	}
	return rules
}

// Ruleset returns all nftables rules of a pod.
func (l *Lab) Ruleset(p *corev1.Pod) (string, error) { return l.Inside(p).Nft("list", "ruleset") }

// KillAgent ends the agent in a pod as a crash would.
func (l *Lab) KillAgent(p *corev1.Pod) {
	l.Helper()
	pids := podProcesses(p, "traffic-agent")
	if len(pids) != 1 {
		l.Fatalf("pod %s has agents %v, want one", p.Name, pids)
	}
	l.Must(syscall.Kill(pids[0], syscall.SIGKILL))
}

// Get reads an intercept of the namespace.
func (l *Lab) Get(name string) (*v1alpha1.Intercept, error) {
	var i v1alpha1.Intercept
	err := l.Client.Get(l.Context(), client.ObjectKey{Namespace: l.Namespace, Name: name}, &i)
	return &i, err
}

// State waits until an intercept is in a state.
func (l *Lab) State(name string, want v1alpha1.InterceptState) *v1alpha1.Intercept {
	l.Helper()
	var i *v1alpha1.Intercept
	l.Until("intercept "+name+" is "+string(want), func() (err error) {
		if i, err = l.Get(name); err != nil {
			return err
		}
		if i.Status.State != want || i.Status.ObservedGeneration != i.Generation {
			return fmt.Errorf("it is %s: %s", i.Status.State, i.Status.Message)
		}
		return nil
	})
	return i
}

// Gone waits until there is no such intercept.
func (l *Lab) Gone(name string) {
	l.Helper()
	l.Until("intercept "+name+" is gone", func() error {
		_, err := l.Get(name)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if err == nil {
			return errors.New("it is there")
		}
		return nil
	})
}
