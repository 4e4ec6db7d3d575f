package controller

import (
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
)

const (
	// patience is how long a running agent may say nothing before another is brought.
	patience = 15 * time.Second
	// sidecarPatience is how long a sidecar may say nothing before that is a failure. A
	// running pod cannot get another sidecar.
	sidecarPatience = time.Minute
)

// silences are how long pods' agents have not reported, as this replica has seen it.
type silences struct {
	mu   sync.Mutex
	pods map[types.UID]silence
}

type silence struct {
	since, asked time.Time
	agents       int // ephemeral containers of the pod
}

// observe notes that the pod's agent does not report, and returns for how long it has not
// since the first call. It is called at every reconciliation until the agent reports.
func (s *silences) observe(pod *corev1.Pod) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for uid, w := range s.pods {
		if now.Sub(w.asked) > patience {
			delete(s.pods, uid) // its agent reported, or the pod is gone
		}
	}
	agents := len(pod.Spec.EphemeralContainers)
	w, ok := s.pods[pod.UID]
	if !ok || w.agents != agents {
		w = silence{since: now, agents: agents}
	}
	w.asked = now
	if s.pods == nil {
		s.pods = map[types.UID]silence{}
	}
	s.pods[pod.UID] = w
	return now.Sub(w.since)
}

// end says that the pod's agent reports.
func (s *silences) end(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, pod.UID)
}

// tooLong says that a silence is too long for the pod's newest agent: longer than patience,
// and twice that for each further agent that runs in the pod, because another one cannot
// be taken out again.
func tooLong(silence time.Duration, pod *corev1.Pod) bool {
	return silence > patience<<max(0, inject.Living(pod)-1) && started(pod)
}

// started says that the pod's newest ephemeral container runs. One whose image is being
// pulled is not silent.
func started(pod *corev1.Pod) bool {
	n := len(pod.Spec.EphemeralContainers)
	return n > 0 && slices.ContainsFunc(pod.Status.EphemeralContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.Name == pod.Spec.EphemeralContainers[n-1].Name && c.State.Running != nil
	})
}
