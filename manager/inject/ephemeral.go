// Package inject decides how an agent enters a pod, as pure functions of the
// pod and the configuration.
package inject

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
)

// ContainerName is the agent's ephemeral container; later ones in the same pod have a
// number behind it, since an ephemeral container cannot be removed.
const ContainerName = sidecar.Container

// MaxAgents is how many ephemeral agents a pod is given before the manager stops:
// none of them can be taken out of the pod again.
const MaxAgents = 10

// agentGroup is the group of agents in running pods. Nobody else has it, so an
// agent can tell its connections from the application's.
const agentGroup = 65431

// Config is what every agent is started with.
type Config struct {
	Image      string
	PullPolicy corev1.PullPolicy
	LogLevel   string
	// Manager is "host:port" as pods reach it, ServerName the name in its
	// certificate, CA the bundle it is checked against, in PEM.
	Manager    string
	ServerName string
	CA         string
	// Resources are a sidecar's, InitResources those of its init container.
	Resources, InitResources corev1.ResourceRequirements
	// PullSecrets are added to pods that get a sidecar; they must exist in the
	// pods' namespaces.
	PullSecrets []string
}

// brief is the life of an agent that ended as soon as it had begun.
const brief = 10 * time.Second

// State is the agent's state in a pod, read off its status.
type State struct {
	// Running: the agent's container runs or is being started.
	Running bool
	// Problem is why it does not start, as the kubelet tells.
	Problem string
	// Brief is how many agents ended as soon as they had begun.
	Brief int
	// Next is the name for another ephemeral container; empty when the pod
	// has had too many.
	Next string
}

// Observe reads the agent's state off the pod.
func Observe(p *corev1.Pod) State {
	s := observe(p, func(c *corev1.EphemeralContainer) bool { return sidecar.IsAgent(c.Name) })
	s.Next = next(p, ContainerName, sidecar.IsAgent, MaxAgents)
	return s
}

// next is the name of another ephemeral container of a kind; empty if the pod has had max.
func next(p *corev1.Pod, name string, isOne func(string) bool, max int) string {
	n := 0
	for _, c := range p.Spec.EphemeralContainers {
		if isOne(c.Name) {
			n++
		}
	}
	if n >= max {
		return ""
	}
	return sidecar.FreeName(p, name)
}

// observe reads the state of those ephemeral containers for which ours is true.
func observe(p *corev1.Pod, ours func(*corev1.EphemeralContainer) bool) State {
	names := map[string]bool{}
	for i := range p.Spec.EphemeralContainers {
		if c := &p.Spec.EphemeralContainers[i]; ours(c) {
			names[c.Name] = true
		}
	}
	var s State
	seen := 0
	for _, c := range p.Status.EphemeralContainerStatuses {
		if !names[c.Name] {
			continue
		}
		seen++
		switch {
		case c.State.Terminated != nil:
			t := c.State.Terminated
			if t.FinishedAt.Sub(t.StartedAt.Time) < brief {
				s.Brief++
			}
			s.Problem = fmt.Sprintf("the agent ended with exit code %d: %s", t.ExitCode, firstOf(strings.TrimSpace(t.Message), t.Reason))
		case c.State.Waiting != nil && stuck(c.State.Waiting.Reason):
			s.Running = true
			s.Problem = fmt.Sprintf("the agent does not start: %s: %s", c.State.Waiting.Reason, c.State.Waiting.Message)
			if CannotPull(c.State.Waiting.Reason) {
				s.Problem = fmt.Sprintf("the image %s cannot be pulled: %s", c.Image, PullReason(c.State.Waiting.Message))
			}
		default:
			s.Running, s.Problem = true, ""
		}
	}
	if seen < len(names) {
		s.Running, s.Problem = true, "" // just added, no status yet
	}
	return s
}

// Entered says that an ephemeral agent was brought into the pod, whatever became of
// it.
func Entered(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return sidecar.IsAgent(c.Name) })
}

// Living is how many ephemeral agents of the pod run.
func Living(p *corev1.Pod) (n int) {
	for _, c := range p.Status.EphemeralContainerStatuses {
		if sidecar.IsAgent(c.Name) && c.State.Running != nil {
			n++
		}
	}
	return n
}

func stuck(reason string) bool {
	return strings.HasPrefix(reason, "Err") || strings.HasSuffix(reason, "BackOff") ||
		strings.HasSuffix(reason, "Error") || reason == "InvalidImageName"
}

// CannotPull says that a container waits for its image in vain. The kubelet gives
// one reason while it tries, and another between its attempts.
func CannotPull(reason string) bool {
	return slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}, reason)
}

// PullReason is what the registry or the runtime has said, from the kubelet's
// message of either kind: without what was being tried, which is long.
func PullReason(message string) string {
	if _, reason, ok := strings.Cut(message, "ErrImagePull: "); ok {
		message = reason
	}
	if _, reason, ok := strings.Cut(message, " desc = "); ok {
		message = reason
	}
	for {
		doing, reason, ok := strings.Cut(message, ": ")
		if !ok || !strings.HasPrefix(doing, "failed to ") {
			return strings.TrimSpace(message)
		}
		message = reason
	}
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// Ephemeral is the container that brings an agent into a running pod.
func Ephemeral(p *corev1.Pod, cfg Config, name, token string) corev1.EphemeralContainer {
	var ips []string
	for _, ip := range p.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	env := []corev1.EnvVar{
		{Name: "AGENT_MANAGER", Value: cfg.Manager},
		{Name: "AGENT_SERVER_NAME", Value: cfg.ServerName},
		{Name: "AGENT_CA", Value: cfg.CA},
		{Name: "AGENT_TOKEN", Value: token},
		{Name: "AGENT_NAMESPACE", Value: p.Namespace},
		{Name: "AGENT_POD", Value: p.Name},
		{Name: "AGENT_POD_UID", Value: string(p.UID)},
		{Name: "AGENT_POD_IPS", Value: strings.Join(ips, ",")},
		{Name: "AGENT_LOG_LEVEL", Value: cfg.LogLevel},
	}
	security := *sidecar.NetAdmin()
	security.RunAsGroup = ptr.To[int64](agentGroup)
	return corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: name, Image: cfg.Image, ImagePullPolicy: cfg.PullPolicy, Env: env,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext:          &security,
		VolumeMounts:             keyMounts(p),
	}}
}
