package chart_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

// TestCapabilities: the policy lets agents have the capabilities that package inject gives them.
func TestCapabilities(t *testing.T) {
	pod := &corev1.Pod{}
	agent, standIn := inject.Ephemeral(pod, inject.Config{}, "", ""), inject.StandIn(pod, inject.Config{}, "", "", "web", nil, true)
	text := "# What agents may have, in pods and beside a container. go test ./chart -update writes this file.\n"
	for _, c := range []struct {
		kind string
		corev1.EphemeralContainer
	}{{"pod", agent}, {"container", standIn}} {
		text += c.kind + ":\n"
		for _, capability := range c.SecurityContext.Capabilities.Add {
			text += "  - " + string(capability) + "\n"
		}
	}
	same(t, "files/capabilities.yaml", text)
}

// TestManagerPolicy: the traffic-manager brings its agents into pods, as package inject makes
// them, and does nothing else with pods.
func TestManagerPolicy(t *testing.T) {
	p := policyOf(t, "traffic-manager-intercept-system-manager")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", Labels: map[string]string{"app": "web"},
			Annotations:     map[string]string{resolve.TerminatingTLSKey: "web-tls", "team": "shop", "other": "passwords"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web"}}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "web", Image: "web"}},
			Volumes: []corev1.Volume{
				{Name: "keys", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "web-tls"}}},
				{Name: "other", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "passwords"}}},
				{Name: "data", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}},
			},
		},
	}
	cfg := inject.Config{Image: "kubectl-intercept.dev/traffic-agent:" + version.Version}
	agent := inject.Ephemeral(pod, cfg, "traffic-agent", "token")
	if len(agent.VolumeMounts) != 1 {
		t.Fatalf("the agent has the mounts %v", agent.VolumeMounts)
	}
	standIn := inject.StandIn(pod, cfg, "traffic-agent-container", "token", "web", nil, true)
	asUser := inject.StandIn(pod, cfg, "traffic-agent-container", "token", "web", ptr.To[int64](1000), true)

	pods := map[string]any{"resource": "pods"}
	enters := func(c corev1.EphemeralContainer, change func(*corev1.EphemeralContainer)) string {
		now, c := pod.DeepCopy(), *c.DeepCopy()
		if change != nil {
			change(&c)
		}
		now.Spec.EphemeralContainers = append(now.Spec.EphemeralContainers, c)
		return p.answer(map[string]any{"operation": "UPDATE", "resource": pods, "subResource": "ephemeralcontainers", "namespace": "shop"}, now, pod)
	}
	changes := func(change func(*corev1.Pod)) string {
		now := pod.DeepCopy()
		change(now)
		return p.answer(map[string]any{"operation": "UPDATE", "resource": pods, "namespace": "shop"}, now, pod)
	}
	evicts := func(namespace string) string {
		return p.answer(map[string]any{"operation": "CREATE", "resource": pods, "subResource": "eviction", "namespace": namespace}, map[string]any{"metadata": map[string]any{}}, nil)
	}
	makesSession := func(dryRun bool) string {
		return p.answer(map[string]any{"operation": "CREATE", "resource": map[string]any{"resource": "sessions"}, "namespace": "intercept-system", "dryRun": dryRun},
			map[string]any{"metadata": map[string]any{}}, nil)
	}
	const alone, capabilities, values = "bring its agent alone into a pod, by the image kubectl-intercept.dev/traffic-agent:", "with the agent's capabilities only", "an agent gets no volume of a pod but"
	for name, c := range map[string]struct{ got, want string }{
		"an agent":             {got: enters(agent, nil)},
		"a stand-in":           {got: enters(standIn, nil)},
		"a stand-in of a user": {got: enters(asUser, nil)},
		"an orphan": {got: changes(func(p *corev1.Pod) {
			p.Labels = map[string]string{orphan.Label: "uid"}
			p.Annotations[orphan.Annotation] = "{}"
		})},
		"an eviction":      {got: evicts("shop")},
		"a forged Session": {got: makesSession(true)}, // which the owner policy refuses

		"a Session": {makesSession(false), "may make no session, but as a dry run"},

		"eviction of DNS":              {evicts("kube-system"), "no pod of kube-system or of its own namespace"},
		"eviction of itself":           {evicts("intercept-system"), "no pod of kube-system or of its own namespace"},
		"another image":                {enters(agent, func(c *corev1.EphemeralContainer) { c.Image = "shell" }), alone},
		"a command":                    {enters(agent, func(c *corev1.EphemeralContainer) { c.Command = []string{"sh"} }), alone},
		"other arguments":              {enters(agent, func(c *corev1.EphemeralContainer) { c.Args = []string{"redirect"} }), alone},
		"the processes of a container": {enters(agent, func(c *corev1.EphemeralContainer) { c.TargetContainerName = "web" }), alone},
		"no security context":          {enters(agent, func(c *corev1.EphemeralContainer) { c.SecurityContext = nil }), capabilities},
		"privileges":                   {enters(agent, func(c *corev1.EphemeralContainer) { c.SecurityContext.Privileged = ptr.To(true) }), capabilities},
		"escalation":                   {enters(agent, func(c *corev1.EphemeralContainer) { c.SecurityContext.AllowPrivilegeEscalation = nil }), capabilities},
		"the usual capabilities":       {enters(agent, func(c *corev1.EphemeralContainer) { c.SecurityContext.Capabilities.Drop = nil }), capabilities},
		"another capability": {enters(standIn, func(c *corev1.EphemeralContainer) {
			c.SecurityContext.Capabilities.Add = []corev1.Capability{"SYS_ADMIN"}
		}), capabilities},
		"a stand-in's capability": {enters(agent, func(c *corev1.EphemeralContainer) {
			c.SecurityContext.Capabilities.Add = inject.StandInCapabilities(true)
		}), capabilities},
		"every system call": {enters(standIn, func(c *corev1.EphemeralContainer) {
			c.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
		}), capabilities},
		"no AppArmor": {enters(standIn, func(c *corev1.EphemeralContainer) {
			c.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		}), capabilities},
		"an unmasked /proc":    {enters(standIn, func(c *corev1.EphemeralContainer) { c.SecurityContext.ProcMount = ptr.To(corev1.UnmaskedProcMount) }), capabilities},
		"a volume of the host": {enters(agent, func(c *corev1.EphemeralContainer) { c.VolumeMounts[0].Name = "data" }), values},
		"another Secret":       {enters(agent, func(c *corev1.EphemeralContainer) { c.VolumeMounts[0].Name = "other" }), values},
		"a Secret elsewhere":   {enters(agent, func(c *corev1.EphemeralContainer) { c.VolumeMounts[0].MountPath = "/" }), values},
		"variables of a Secret": {enters(agent, func(c *corev1.EphemeralContainer) {
			c.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{}}}
		}), values},
		"a variable of Go's":      {enters(agent, func(c *corev1.EphemeralContainer) { c.Env[0].Name = "GODEBUG" }), values},
		"a variable of an object": {enters(agent, func(c *corev1.EphemeralContainer) { c.Env[0].ValueFrom = &corev1.EnvVarSource{} }), values},
		"an image of the pod":     {changes(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "shell" }), "may not change the spec of a pod"},
		"an annotation":           {changes(func(p *corev1.Pod) { p.Annotations[resolve.TerminatingTLSKey] = "passwords" }), "no annotation but its own"},
		"one annotation less":     {changes(func(p *corev1.Pod) { delete(p.Annotations, "team") }), "no annotation but its own"},
		"an owner":                {changes(func(p *corev1.Pod) { p.OwnerReferences = nil }), "no annotation but its own"},
		"a finalizer":             {changes(func(p *corev1.Pod) { p.Finalizers = []string{"example.com/stays"} }), "no annotation but its own"},
	} {
		if c.got != c.want && (c.want == "" || !strings.Contains(c.got, c.want)) {
			t.Errorf("%s: answered %q, want %q", name, c.got, c.want)
		}
	}
}
