package inject

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write goldens")

func podWith(names []string, states ...corev1.ContainerState) *corev1.Pod {
	p := &corev1.Pod{}
	for _, n := range names {
		c := corev1.EphemeralContainer{}
		c.Name = n
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, c)
	}
	for i, s := range states {
		p.Status.EphemeralContainerStatuses = append(p.Status.EphemeralContainerStatuses,
			corev1.ContainerStatus{Name: names[i], State: s})
	}
	return p
}

func TestObserve(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "no NET_ADMIN\n"}}
	grown := ended.DeepCopy()
	grown.Terminated.FinishedAt = metav1.NewTime(grown.Terminated.StartedAt.Add(time.Minute))
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	many := strings.Split("traffic-agent traffic-agent-2 traffic-agent-3 traffic-agent-4 traffic-agent-5 traffic-agent-6 traffic-agent-7 traffic-agent-8 traffic-agent-9 traffic-agent-10", " ")
	cases := []struct {
		name string
		pod  *corev1.Pod
		want State
	}{
		{"no agent", podWith([]string{"debugger"}, running), State{Next: "traffic-agent"}},
		{"just added", podWith([]string{"traffic-agent"}), State{Running: true, Next: "traffic-agent-2"}},
		{"running", podWith([]string{"traffic-agent"}, running), State{Running: true, Next: "traffic-agent-2"}},
		{"being created", podWith([]string{"traffic-agent"}, waiting("ContainerCreating", "")), State{Running: true, Next: "traffic-agent-2"}},
		{"image missing", podWith([]string{"traffic-agent"}, waiting("ErrImagePull", "not found")),
			State{Running: true, Problem: "the image  cannot be pulled: not found", Next: "traffic-agent-2"}},
		{"image missing, between attempts", podWith([]string{"traffic-agent"}, waiting("ImagePullBackOff", "Back-off pulling image \"i\": ErrImagePull: not found")),
			State{Running: true, Problem: "the image  cannot be pulled: not found", Next: "traffic-agent-2"}},
		{"image missing, at length", podWith([]string{"traffic-agent"}, waiting("ErrImagePull",
			`rpc error: code = NotFound desc = failed to pull and unpack image "r/i:1": failed to resolve reference "r/i:1": r/i:1: not found`)),
			State{Running: true, Problem: "the image  cannot be pulled: r/i:1: not found", Next: "traffic-agent-2"}},
		{"not created", podWith([]string{"traffic-agent"}, waiting("CreateContainerError", "m")),
			State{Running: true, Problem: "the agent does not start: CreateContainerError: m", Next: "traffic-agent-2"}},
		{"ended", podWith([]string{"traffic-agent"}, ended),
			State{Problem: "the agent ended with exit code 1: no NET_ADMIN", Brief: 1, Next: "traffic-agent-2"}},
		{"ended after a while", podWith([]string{"traffic-agent"}, *grown),
			State{Problem: "the agent ended with exit code 1: no NET_ADMIN", Next: "traffic-agent-2"}},
		{"ended, the next runs", podWith([]string{"traffic-agent", "traffic-agent-2"}, ended, running),
			State{Running: true, Brief: 1, Next: "traffic-agent-3"}},
		{"too many", podWith(many, ended, ended, ended, ended, ended, ended, ended, ended, ended, ended),
			State{Problem: "the agent ended with exit code 1: no NET_ADMIN", Brief: 10}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Observe(c.pod); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestEphemeralContainer(t *testing.T) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-1", UID: "7d1c"},
		Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.244.1.7"}, {IP: "fd00::7"}}}}
	c := Ephemeral(p, Config{Image: "kubectl-intercept.dev/traffic-agent:0.1.0", PullPolicy: corev1.PullIfNotPresent,
		LogLevel: "info", Manager: "10.96.0.9:17843", ServerName: "traffic-manager.intercept-system.svc", CA: "PEM"}, "traffic-agent", "token")
	got, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/ephemeral.golden.yaml"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(got) != string(want) {
		t.Errorf("the container has changed; -update if that is right (%v):\n%s", err, got)
	}
}
