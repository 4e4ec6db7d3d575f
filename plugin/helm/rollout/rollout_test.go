package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
)

func deployment(want, updated, ready, total int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "traffic-manager", Namespace: "ns", Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: &want,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "tm"}},
		},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 1, UpdatedReplicas: updated, ReadyReplicas: ready, Replicas: total},
	}
}

func pod(name string, state corev1.ContainerState) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", Labels: map[string]string{"app": "tm"}},
		Spec:       corev1.PodSpec{NodeName: "node-1"},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "traffic-manager", State: state}}},
	}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func event(kind, reason string, at int64) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: reason, Namespace: "ns"},
		InvolvedObject: corev1.ObjectReference{Name: "tm-1"},
		Type:           kind, Reason: reason, Message: "it " + reason, LastTimestamp: metav1.Unix(at, 0),
	}
}

func TestComing(t *testing.T) {
	starting := pod("tm-1", waiting("ContainerCreating", ""))
	running := pod("tm-1", corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	unassigned := pod("tm-1", corev1.ContainerState{})
	unassigned.Spec.NodeName, unassigned.Status.ContainerStatuses = "", nil
	unschedulable := unassigned.DeepCopy()
	unschedulable.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available",
	}}
	stale := deployment(1, 1, 1, 1)
	stale.Generation = 2
	refused := deployment(1, 0, 0, 0)
	refused.Status.Conditions = []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota: small",
	}}
	crashing := pod("tm-1", corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error"}})
	revision := func(p *corev1.Pod, hash string, created int64) *corev1.Pod {
		p = p.DeepCopy()
		p.Name, p.CreationTimestamp, p.Labels["pod-template-hash"] = "tm-"+hash, metav1.Unix(created, 0), hash
		return p
	}
	const line = "waiting for deployment/traffic-manager: "
	for _, tt := range []struct {
		name    string
		objects []runtime.Object
		want    string
		why     string // its beginning
	}{
		{"ready", []runtime.Object{deployment(1, 1, 1, 1), running}, "", ""},
		{"no deployment", nil, "", ""},
		{"no pod yet", []runtime.Object{deployment(1, 0, 0, 0)}, line + "0 of 1 ready", ""},
		{"quota", []runtime.Object{refused}, line + "0 of 1 ready, FailedCreate: exceeded quota: small",
			"deployment/traffic-manager: FailedCreate: exceeded quota: small"},
		{"no node yet", []runtime.Object{deployment(1, 1, 0, 1), unassigned}, line + "0 of 1 ready, pod tm-1: waiting for a node", "pod/tm-1: waiting for a node"},
		{"no node", []runtime.Object{deployment(1, 1, 0, 1), unschedulable},
			line + "0 of 1 ready, pod tm-1: Unschedulable: 0/1 nodes are available", "pod/tm-1: Unschedulable"},
		{"starting", []runtime.Object{deployment(2, 2, 1, 2), starting}, line + "1 of 2 ready, pod tm-1: starting", "pod/tm-1: starting"},
		{"pulling", []runtime.Object{deployment(1, 1, 0, 1), starting, event("Normal", "Scheduled", 1), event("Normal", "Pulling", 2)},
			line + "0 of 1 ready, pod tm-1: pulling image", "pod/tm-1: pulling image\n  last events:\n    Scheduled: it Scheduled\n    Pulling: it Pulling"},
		{"pulled", []runtime.Object{deployment(1, 1, 0, 1), starting, event("Normal", "Pulling", 1), event("Normal", "Pulled", 2)},
			line + "0 of 1 ready, pod tm-1: starting", "pod/tm-1: starting"},
		{"no volume", []runtime.Object{deployment(1, 1, 0, 1), starting, event("Warning", "FailedMount", 1)},
			line + "0 of 1 ready, pod tm-1: FailedMount: it FailedMount", "pod/tm-1: FailedMount"},
		{"running", []runtime.Object{deployment(1, 1, 0, 1), running}, line + "0 of 1 ready, pod tm-1: running, not ready yet",
			"pod/tm-1: running, not ready yet\n  last lines of the log:\n    fake logs"},
		{"not seen yet", []runtime.Object{stale, running}, line + "0 of 1 ready, pod tm-1: running, not ready yet", "pod/tm-1"},
		{"old ones end", []runtime.Object{deployment(1, 1, 2, 2), running}, line + "1 old to end", ""},
		// The old one is ready, and in trouble later; neither counts.
		{"new one starts", []runtime.Object{deployment(1, 1, 1, 2), revision(starting, "new", 2), revision(crashing, "old", 1)},
			line + "0 of 1 ready, pod tm-new: starting", "pod/tm-new: starting"},
		{"image", []runtime.Object{deployment(1, 1, 0, 1), pod("tm-1", waiting("ErrImagePull", "not\nfound"))},
			line + "0 of 1 ready, pod tm-1: ErrImagePull: not found", "pod/tm-1: ErrImagePull: not found"},
		{"crash", []runtime.Object{deployment(1, 1, 0, 1), pod("tm-1", corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 2}})},
			line + "0 of 1 ready, pod tm-1: container traffic-manager ends, Error, exit code 2", "pod/tm-1: container"},
	} {
		w := Watcher{Client: fake.NewClientset(tt.objects...), Namespace: "ns", Name: "traffic-manager"}
		got, why := w.coming(t.Context())
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if !strings.HasPrefix(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%s: because %q, want %q", tt.name, why, tt.why)
		}
	}
}

// A spy is an output that tells when it has got a line.
type spy struct {
	strings.Builder
	line chan struct{}
}

func (s *spy) Write(p []byte) (int, error) {
	defer close(s.line) // a second line would be one too many
	return s.Builder.Write(p)
}

func TestFollow(t *testing.T) {
	crashed := pod("tm-1", waiting("CrashLoopBackOff", "back-off"))
	crashed.Status.ContainerStatuses[0].RestartCount = 3
	crashed.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1}
	const wantLine = "waiting for deployment/traffic-manager: 0 of 1 ready, pod tm-1: container traffic-manager ends, Error, exit code 1\n"
	// "fake logs" is what the fake client answers.
	const wantWhy = `pod/tm-1: container traffic-manager ends, Error, exit code 1
  last events:
    Started: it Started
    BackOff: it BackOff
  last lines of the log:
    fake logs`
	failure := errors.New("not ready")
	for _, undone := range []bool{false, true} {
		clients := fake.NewClientset(deployment(1, 1, 0, 1), crashed, event("Warning", "BackOff", 30), event("Normal", "Started", 20))
		out := &spy{line: make(chan struct{})}
		w := Watcher{Client: clients, Namespace: "ns", Name: "traffic-manager", Out: out, Interval: time.Millisecond}
		why, err := w.Follow(t.Context(), func(ctx context.Context) error {
			select {
			case <-out.line:
			case <-t.Context().Done():
			}
			if undone { // as --atomic does
				return errors.Join(failure, clients.AppsV1().Deployments("ns").Delete(ctx, "traffic-manager", metav1.DeleteOptions{}))
			}
			return failure
		})
		if !errors.Is(err, failure) || err.Error() != failure.Error() {
			t.Errorf("undone %t: error %v", undone, err)
		}
		if out.String() != wantLine || why != wantWhy {
			t.Errorf("undone %t: printed %q, because\n%s\nwant %q, because\n%s", undone, out, why, wantLine, wantWhy)
		}
	}
}

func TestFollowAway(t *testing.T) {
	ending := pod("tm-1", corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	ending.DeletionTimestamp, ending.Finalizers = &metav1.Time{Time: time.Unix(1, 0)}, []string{"example.com/hold"}
	clients := fake.NewClientset(deployment(1, 1, 1, 1), ending)
	out := &spy{line: make(chan struct{})}
	w := Watcher{Client: clients, Namespace: "ns", Name: "traffic-manager", Out: out, Interval: time.Millisecond}
	why, err := w.FollowAway(t.Context(), func(ctx context.Context) error {
		select {
		case <-out.line:
		case <-t.Context().Done():
		}
		return clients.AppsV1().Deployments("ns").Delete(ctx, "traffic-manager", metav1.DeleteOptions{})
	})
	if want := "waiting for deployment/traffic-manager to be gone: pod tm-1 is ending, kept by finalizer example.com/hold\n"; err != nil || out.String() != want || why != "" {
		t.Errorf("%v, printed %q, want %q, because %q", err, out, want, why)
	}
}
