//go:build e2e

package e2e

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestManagerTakenOver: whoever has the traffic-manager's token can change no pod's spec, brings
// no container but the agent into a pod, and does nothing to pods of the cluster's own.
func TestManagerTakenOver(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--inject", "ephemeral", "--port", alice.Serve("alice").To(""))
	pod := l.Pod()
	real := pod.Spec.EphemeralContainers[0]

	request := &authenticationv1.TokenRequest{}
	r, err := l.Kube.CoreV1().ServiceAccounts(lab.ManagerNamespace).CreateToken(t.Context(), "traffic-manager", request, metav1.CreateOptions{})
	l.Must(err)
	cfg := alice.Config()
	cfg.CertData, cfg.KeyData, cfg.CertFile, cfg.KeyFile, cfg.BearerToken = nil, nil, "", "", r.Status.Token
	taken, err := kubernetes.NewForConfig(cfg)
	l.Must(err)
	refused := func(what string, err error) {
		t.Helper()
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "traffic-manager-intercept-system-manager") {
			t.Errorf("%s: %v", what, err)
		}
	}

	pods := taken.CoreV1().Pods(l.Namespace)
	patch := func(text string) error {
		_, err := pods.Patch(t.Context(), pod.Name, "application/strategic-merge-patch+json", []byte(text), metav1.PatchOptions{})
		return err
	}
	refused("another image", patch(`{"spec":{"containers":[{"name":"`+pod.Spec.Containers[0].Name+`","image":"kubectl-intercept.dev/test/tools:dev"}]}}`))
	refused("an annotation", patch(`{"metadata":{"annotations":{"kubectl-intercept.dev/terminating-tls-secret":"passwords"}}}`))
	for what, change := range map[string]func(*corev1.EphemeralContainer){
		"a shell": func(c *corev1.EphemeralContainer) {
			c.Image, c.Command = "kubectl-intercept.dev/test/tools:dev", []string{"sh"}
		},
		"privileges": func(c *corev1.EphemeralContainer) {
			c.SecurityContext.Privileged, c.SecurityContext.AllowPrivilegeEscalation = ptr.To(true), nil
		},
		"another capability": func(c *corev1.EphemeralContainer) {
			c.SecurityContext.Capabilities.Add = []corev1.Capability{"SYS_ADMIN"}
		},
		"variables of a Secret": func(c *corev1.EphemeralContainer) {
			c.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "passwords"}}}}
		},
		"the pod's token": func(c *corev1.EphemeralContainer) {
			c.VolumeMounts = []corev1.VolumeMount{{Name: pod.Spec.Containers[0].VolumeMounts[0].Name, MountPath: "/token", ReadOnly: true}}
		},
	} {
		c := *real.DeepCopy()
		c.Name = "traffic-agent-99"
		change(&c)
		now := l.Pod()
		now.Spec.EphemeralContainers = append(now.Spec.EphemeralContainers, c)
		_, err := pods.UpdateEphemeralContainers(t.Context(), now.Name, now, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		refused(what, err)
	}

	var system corev1.PodList
	l.Must(l.Client.List(t.Context(), &system, client.InNamespace("kube-system")))
	if len(system.Items) == 0 {
		t.Fatal("kube-system has no pods")
	}
	dns := system.Items[0]
	refused("eviction in kube-system", taken.CoreV1().Pods(dns.Namespace).EvictV1(t.Context(), &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: dns.Namespace, Name: dns.Name}, DeleteOptions: &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}}))
	c := *real.DeepCopy()
	c.TargetContainerName = ""
	dns.Spec.EphemeralContainers = append(dns.Spec.EphemeralContainers, c)
	_, err = taken.CoreV1().Pods(dns.Namespace).UpdateEphemeralContainers(t.Context(), dns.Name, &dns, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	refused("an agent in kube-system", err)

	s := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: lab.ManagerNamespace, GenerateName: "taken-"},
		Spec: v1alpha1.SessionSpec{User: "system:serviceaccount:" + lab.ManagerNamespace + ":traffic-manager", PublicKey: strings.Repeat("0", 64)}}
	asManager, err := client.New(cfg, client.Options{Scheme: l.Client.Scheme()})
	l.Must(err)
	refused("a Session", asManager.Create(t.Context(), s))
}
