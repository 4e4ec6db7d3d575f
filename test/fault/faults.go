//go:build linux

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// replicas is how many traffic-managers there are.
const replicas = 3

// fault is something that can break.
type fault struct {
	name string
	// quick faults are those of the short form.
	quick bool
	// inject returns when the fault is there, and since when.
	inject func(*scene, context.Context) (time.Time, error)
	// lasts is how long the fault goes on before heal.
	lasts time.Duration
	// dark says that the laptop cannot answer until heal: it begins when the application does.
	dark bool
	// heal brings back what does not come back by itself. It may call recorder.expect, from
	// when the laptop can answer; without that, this is when heal returns.
	heal func(*scene, context.Context) error
	// after tidies up, once all of the load works again.
	after func(*scene, context.Context) error
	// known says, by mode, why the application loses requests by design.
	known map[string]string
}

// faults are all faults, in the order in which they are injected.
func faults() []fault {
	return append([]fault{
		{name: "session killed", quick: true, dark: true, inject: (*scene).killSession, heal: (*scene).connect},
		{name: "agent killed", quick: true, inject: (*scene).killAgent, after: (*scene).afterAgent,
			known: map[string]string{
				Ephemeral: "known: in some rounds the redirect outlives the agent's process by some 0.6 s, and the next agent resets connections to the application from before it",
				Sidecar:   "known: the redirect of a sidecar's init container lives for two seconds without the agent, which may not change it"}},
		{name: "traffic-manager killed, another one", quick: true, inject: killing(func(p corev1.Pod, relay string) bool { return p.Name != relay }, 1), after: (*scene).restarted},
		{name: "traffic-manager killed, the relay", quick: true, inject: killing(func(p corev1.Pod, relay string) bool { return p.Name == relay }, 1), after: (*scene).restarted},
		{name: "traffic-manager killed, all", inject: killing(func(corev1.Pod, string) bool { return true }, replicas), after: (*scene).restarted},
		{name: "relay connections reset", quick: true, inject: (*scene).cutRelay, lasts: time.Second, heal: (*scene).mendRelay},
		{name: "netd killed", quick: true, inject: (*scene).killNetd, heal: (*scene).startNetd},
	}, outside()...)
}

// killed waits until the kernel has ended processes.
func killed(ctx context.Context, pids ...int) (time.Time, error) {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return time.Time{}, fmt.Errorf("kill %d: %w", pid, err)
		}
	}
	for _, pid := range pids {
		for alive(pid) {
			select {
			case <-ctx.Done():
				return time.Time{}, ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
	}
	return time.Now(), nil
}

// alive says whether a process has not ended; one that nobody has waited for has. The kernel
// closes the files of a process with its last thread, and the first thread may end earlier.
func alive(pid int) bool {
	if threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)); len(threads) > 1 {
		return true
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func (s *scene) killSession(ctx context.Context) (time.Time, error) {
	pids := s.alice.Sessions()
	if len(pids) != 1 {
		return time.Time{}, fmt.Errorf("sessions %v, want one", pids)
	}
	return killed(ctx, pids...)
}

// connect has alice type the commands that bring a killed session back.
func (s *scene) connect(context.Context) error {
	s.rec.expect()
	for _, args := range [][]string{{"connect"}, s.global, s.personal} {
		if _, err := s.alice.RunQuiet(args...); err != nil {
			return err
		}
	}
	return nil
}

func (s *scene) killAgent(ctx context.Context) (time.Time, error) {
	p, err := s.quote(ctx)
	if err != nil {
		return time.Time{}, err
	}
	pids := lab.Processes(p, "traffic-agent")
	if len(pids) != 1 {
		return time.Time{}, fmt.Errorf("pod %s has agents %v, want one", p.Name, pids)
	}
	return killed(ctx, pids...)
}

// afterAgent replaces the pod: the kubelet waits longer each time before it starts a sidecar
// again, and so does the traffic-manager with an ephemeral container.
func (s *scene) afterAgent(ctx context.Context) error { return s.renew(ctx) }

// killing kills the traffic-managers that which chooses. There must be as many as want.
func killing(which func(p corev1.Pod, relay string) bool, want int) func(*scene, context.Context) (time.Time, error) {
	return func(s *scene, ctx context.Context) (time.Time, error) {
		pods, err := s.managers(ctx, replicas)
		if err != nil {
			return time.Time{}, err
		}
		pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return !which(p, s.relay) })
		var pids []int
		for _, p := range pods[:min(want, len(pods))] {
			pids = append(pids, lab.Processes(&p, "traffic-manager")...)
		}
		if len(pids) != want {
			return time.Time{}, fmt.Errorf("processes %v of traffic-managers, want %d; the relay is %s", pids, want, s.relay)
		}
		return killed(ctx, pids...)
	}
}

// cutRelay resets what the agent says to traffic-managers.
func (s *scene) cutRelay(ctx context.Context) (time.Time, error) {
	pods, err := s.managers(ctx, replicas)
	if err != nil {
		return time.Time{}, err
	}
	var addrs []string
	for _, p := range pods {
		addrs = append(addrs, p.Status.PodIP)
	}
	err = s.inPod(ctx, fmt.Sprintf("table ip cut { chain out { type filter hook output priority 0; ip daddr { %s } tcp flags & syn == 0 reject with tcp reset; }; }",
		strings.Join(addrs, ", ")))
	return time.Now(), err
}

func (s *scene) mendRelay(ctx context.Context) error { return s.inPod(ctx, "delete table ip cut") }

// inPod runs nft in the pod.
func (s *scene) inPod(ctx context.Context, rules string) error {
	p, err := s.quote(ctx)
	if err != nil {
		return err
	}
	_, err = s.Inside(p).Nft(rules)
	return err
}

func (s *scene) killNetd(ctx context.Context) (time.Time, error) {
	// The command is a wrapper that has become the program.
	return killed(ctx, s.netd.Process.Pid)
}

func (s *scene) startNetd(context.Context) error {
	s.rec.expect()
	s.netd = s.alice.ServeNetd()
	return nil
}

// answeredByApplication says whether the application has answered since the fault.
func (s *scene) answeredByApplication() error {
	err := errors.New("the application does not answer")
	s.rec.with(func(in *round) {
		for _, res := range in.results {
			if res.stream == whole && res.who == application && !res.began.Before(in.fault) {
				err = nil
			}
		}
	})
	return err
}
