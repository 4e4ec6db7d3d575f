package intercept

import (
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// replace checks --mode, and says whether it is replace.
func (f *Flags) replace() (bool, error) {
	if f.Mode != modeReplace {
		return false, nil
	}
	if name := f.typedOf("match", "http-match", "match-path", "match-path-prefix", "match-path-regex", "match-method", "match-query"); name != "" || f.Requests.Given() {
		if name == "" {
			name = "match"
		}
		return false, fmt.Errorf("--%s leaves the other requests to the application, which --mode replace stops, so it cannot answer them: leave one of the two out", name)
	}
	switch {
	case f.KeepEstablished:
		return false, fmt.Errorf("--keep-established leaves connections with the application, which --mode replace stops: leave one of the two out")
	case f.PreviewURL:
		return false, fmt.Errorf("--preview-url sends its visitors here and leaves all others to the application, which --mode replace stops: leave one of the two out")
	}
	return true, nil
}

// Replaces says that --mode is replace, which needs no port.
func (f *Flags) Replaces() bool { return f.Mode == modeReplace }

// stopped is the container that --mode replace stops, by the pod template; "" if there is none,
// of which the traffic-manager will tell.
func (m *maker) stopped() string {
	if !m.Replace || m.StandIn == nil {
		return ""
	}
	name, _ := resolve.StandInContainer(m.StandIn.Container, m.resolved, m.workload.Template())
	return name
}

// checkReplace refuses at once what the traffic-manager would refuse later.
func (m *maker) checkReplace() error {
	if !m.Replace {
		return nil
	}
	container, missing := resolve.StandInContainer(m.StandIn.Container, m.resolved, m.workload.Template())
	if missing != "" {
		return fmt.Errorf("--container %s: %s has no such container", m.StandIn.Container, m.workload)
	}
	if ports := resolve.ProbedPorts(&m.workload.Spec, container); len(ports) > 0 && m.Inject == v1alpha1.InjectSidecar {
		return fmt.Errorf("--inject sidecar: the kubelet probes port %d of container %s, and while that is stopped nobody would answer there but an ephemeral agent: use --inject ephemeral or auto", ports[0], container)
	}
	return nil
}

// containerUnsaid says that the flags name no container.
func (m *maker) containerUnsaid() bool { return m.StandIn == nil || m.StandIn.Container == "" }
