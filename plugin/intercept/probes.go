package intercept

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// warnOfProbes warns of probes that the agent cannot tell from other callers: calls of a
// command in the pod, and calls that come by way of another host. The application answers
// the kubelet's own calls.
func (m *maker) warnOfProbes() {
	warnings := uncertain(&m.workload.Spec, m.resolved)
	if m.Replace {
		warnings = unanswered(&m.workload.Spec, m.stopped())
	}
	for _, text := range warnings {
		render.Warn(m.ErrOut, text)
	}
}

// unanswered are the probes of a stopped container that agents do not answer, each as a
// sentence.
func unanswered(spec *corev1.PodSpec, container string) []string {
	var list []string
	for _, c := range resolve.Containers(spec) {
		if c.Name != container {
			continue
		}
		for _, p := range probes(&c) {
			switch {
			case p.probe == nil:
			case p.probe.Exec != nil:
				list = append(list, fmt.Sprintf("the %s probe of container %q runs a command there, also while the container is stopped: if the command needs the application, it fails, and %s", p.name, c.Name, p.fails))
			case p.probe.HTTPGet != nil && p.probe.HTTPGet.Host != "":
				list = append(list, fmt.Sprintf("the %s probe of container %q calls host %s, where agents do not answer in place of the stopped application: when it fails, %s", p.name, c.Name, p.probe.HTTPGet.Host, p.fails))
			}
		}
	}
	return list
}

// kubeletProbe is a probe, and what happens when it fails.
type kubeletProbe struct {
	name  string
	probe *corev1.Probe
	fails string
}

func probes(c *corev1.Container) []kubeletProbe {
	return []kubeletProbe{
		{"liveness", c.LivenessProbe, "the kubelet restarts the container"},
		{"readiness", c.ReadinessProbe, "the pod is not ready, and its Services send it nothing"},
		{"startup", c.StartupProbe, "the kubelet restarts the container"},
	}
}

// uncertain are the probes that the application or the laptop may answer, each as a
// sentence.
func uncertain(spec *corev1.PodSpec, ports []v1alpha1.ResolvedPort) []string {
	var list []string
	for _, c := range resolve.Containers(spec) {
		for _, p := range probes(&c) {
			if p.probe == nil {
				continue
			}
			for _, port := range ports {
				if port.Protocol == corev1.ProtocolUDP {
					continue
				}
				if how := callsAround(p.probe, port.ContainerPort); how != "" {
					list = append(list, fmt.Sprintf("the %s probe of container %q %s: it may reach your program in place of the application, and when it fails, %s; answer it as the application does",
						p.name, c.Name, how, p.fails))
				}
			}
		}
	}
	return list
}

// callsAround says how a probe calls a port in another way than the kubelet itself. It is
// empty if the probe does not seem to.
func callsAround(p *corev1.Probe, port int32) string {
	switch {
	case p.Exec != nil && mentions(strings.Join(p.Exec.Command, " "), port):
		return fmt.Sprintf("runs a command that calls port %d from within the pod", port)
	case p.HTTPGet != nil && p.HTTPGet.Host != "" && p.HTTPGet.Port.IntVal == port:
		return fmt.Sprintf("calls port %d of host %s", port, p.HTTPGet.Host)
	}
	return ""
}

// mentions says that a command line has the number of a port, or an URL whose
// scheme means it.
func mentions(command string, port int32) bool {
	usual := map[int32]string{80: `|http://[^:/ ]+(/|\s|$)`, 443: `|https://[^:/ ]+(/|\s|$)`}
	return regexp.MustCompile(fmt.Sprintf(`(^|[^0-9.])%d([^0-9.]|$)%s`, port, usual[port])).MatchString(command)
}
