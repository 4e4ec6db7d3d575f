package check

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
)

// NewTryPod returns the function Env.TryPod for a cluster.
func NewTryPod(cfg *rest.Config) (func(context.Context, *corev1.Pod) (*corev1.Pod, []string, error), error) {
	cfg = rest.CopyConfig(cfg)
	cfg.WarningHandler, cfg.WarningHandlerWithContext = nil, collector{}
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, p *corev1.Pod) (*corev1.Pod, []string, error) {
		heard := &warnings{}
		ctx = context.WithValue(ctx, warningsKey{}, heard)
		got, err := c.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return got, heard.texts, err
	}, nil
}

// warnings are the API server's warnings about one request.
type warnings struct{ texts []string }

type warningsKey struct{}

// collector adds each warning to the warnings of its request.
type collector struct{}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (collector) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if w, ok := ctx.Value(warningsKey{}).(*warnings); ok {
		w.texts = append(w.texts, text)
	}
}

// modestPod returns a pod that every pod security level allows.
func (e *Env) modestPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, GenerateName: "kubectl-intercept-check-"},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: ptr.To(false),
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65532),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "check", Image: "kubectl-intercept.dev/check",
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: ptr.To(false),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		},
	}
}

// agentPod returns a pod whose container has the security context of an ephemeral agent.
// Pod security applies the same rules to all kinds of containers. The check uses a pod
// because many users may create pods but may not add ephemeral containers.
func (e *Env) agentPod() *corev1.Pod {
	p := e.modestPod()
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
		Name: "agent", Image: "kubectl-intercept.dev/check",
		SecurityContext: sidecar.NetAdmin(),
	})
	return p
}
