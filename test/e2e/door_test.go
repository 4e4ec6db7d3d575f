//go:build e2e

package e2e

import (
	"net"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestSidecarOfBefore has a pod whose sidecar was made before agents had a port of
// their own at the traffic-manager: it knows 443 and is let to 443 only, as by a
// mesh. It goes on working.
func TestSidecarOfBefore(t *testing.T) {
	l := lab.New(t, clusters)
	quoted(l, "http", 1, "kubectl-intercept.dev/inject: enabled")
	now := l.Pod()
	labels := map[string]string{"app": "before"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: now.Annotations},
		Spec: corev1.PodSpec{Volumes: now.Spec.Volumes, TerminationGracePeriodSeconds: now.Spec.TerminationGracePeriodSeconds}}
	isToken := func(name string) bool { return strings.HasPrefix(name, "kube-api-access-") } // it gets one of its own
	template.Spec.Volumes = slices.DeleteFunc(template.Spec.Volumes, func(v corev1.Volume) bool { return isToken(v.Name) })
	told := ""
	for _, c := range now.Spec.Containers {
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return isToken(m.Name) })
		for i, e := range c.Env {
			if e.Name == "AGENT_MANAGER" {
				host, port, err := net.SplitHostPort(e.Value)
				l.Must(err)
				told, c.Env[i].Value = port, net.JoinHostPort(host, "443")
			}
		}
		template.Spec.Containers = append(template.Spec.Containers, c)
	}
	if told != "17843" {
		t.Fatalf("agents are told port %q", told)
	}
	l.Must(l.Client.Create(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "before"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template}}))
	l.Must(l.Client.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "before"},
		Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}}}))
	l.Ready()
	before := l.Serving("before", "http")
	pods := l.Pods()
	pod := &pods[slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Labels["app"] == "before" })]
	inside := l.Inside(pod)
	for _, rule := range []string{
		"add table inet mesh",
		"add chain inet mesh output { type filter hook output priority 0; }",
		"add rule inet mesh output tcp dport 17843 reject with tcp reset",
	} {
		_, err := inside.Nft(strings.Fields(rule)...)
		l.Must(err)
	}
	l.Answers(before, lab.Application)
	alice := l.Laptop("alice")
	alice.Intercept("add", "deploy/before", "--port", alice.Serve("alice").To("http"))
	l.Answers(before, "alice")
	for _, p := range l.Pods() {
		if n := len(p.Spec.EphemeralContainers); n != 0 {
			t.Errorf("pod %s has %d ephemeral containers", p.Name, n)
		}
	}
	alice.Intercept("leave", "before")
	l.Answers(before, lab.Application)
}
