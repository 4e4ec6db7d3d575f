package agents

import (
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// rewriteContainer replaces what an earlier connection of an agent beside this container
// reported. It changes nothing if a later connection reported, or an agent beside another
// container, unless this one has a pause of the Intercept.
func (a *agent) rewriteContainer(s *v1alpha1.PodStatus, ic *v1alpha1.Intercept) {
	same := string(s.UID) == a.pod.UID
	if was := s.Container; was != nil && (!same || was.Name == a.container) && was.Since.After(a.since.Time) {
		return
	}
	var now *v1alpha1.PodContainer
	for _, p := range a.pauses {
		if p.InterceptUid == string(ic.UID) {
			now = &v1alpha1.PodContainer{Name: a.container, State: podState(p.State), Message: short(p.Message, maxMessage), Since: a.since}
		}
	}
	if now == nil && (s.Container == nil || s.Container.Name != a.container || !same) {
		return
	}
	ports := s.Ports
	if !same {
		ports = nil
	}
	*s = sum(a.pod, ports, now)
}

// podState is the state of a port or a container as the API tells it.
func podState(s rpc.PortState) v1alpha1.PodState {
	switch s {
	case rpc.PortState_VERIFIED:
		return v1alpha1.PodActive
	case rpc.PortState_FAILED:
		return v1alpha1.PodError
	}
	return v1alpha1.PodVerifying
}
