package check

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// tryAgent adds an ephemeral agent to a running pod of the namespace as a dry run. That
// finds webhooks that check only ephemeral containers. The user needs a right for it that
// the ClusterRole "edit" does not give.
func (e *Env) tryAgent(ctx context.Context) security {
	pods, err := e.Kube.CoreV1().Pods(e.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
	if err != nil || len(pods.Items) == 0 {
		return security{}
	}
	image := e.agentImage(ctx)
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil || p.Spec.HostNetwork {
			continue
		}
		_, err := e.Kube.CoreV1().Pods(e.Namespace).Patch(ctx, p.Name, types.StrategicMergePatchType, agentPatch(&p, image),
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "ephemeralcontainers")
		switch {
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // the pod is being deleted: try another one
		case err == nil:
			return security{agent: true}
		case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot patch resource"):
			return security{hidden: true}
		case strings.Contains(err.Error(), "does not support dry run"):
			return security{}
		default:
			return security{agent: true, err: err}
		}
	}
	return security{}
}

// agentPatch adds an agent to a pod under a name that the pod has not used.
func agentPatch(p *corev1.Pod, image string) []byte {
	patch, _ := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": []corev1.EphemeralContainer{{ // of plain types
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: sidecar.FreeName(p, sidecar.Container), Image: image, SecurityContext: sidecar.NetAdmin()},
	}}}})
	return patch
}

// agentImage returns the agent image that the traffic-manager uses, if the user may read
// it. The dry run should use the same image, because a policy may allow only some
// registries.
func (e *Env) agentImage(ctx context.Context) string {
	var file struct {
		Agent struct {
			Image string `json:"image"`
		} `json:"agent"`
	}
	cm, err := e.Kube.CoreV1().ConfigMaps(e.ManagerNamespace).Get(ctx, "traffic-manager-config", metav1.GetOptions{})
	if err == nil && yaml.Unmarshal([]byte(cm.Data["config.yaml"]), &file) == nil && file.Agent.Image != "" {
		return file.Agent.Image
	}
	return "kubectl-intercept.dev/traffic-agent:" + version.Version
}

// refusedAgent describes the refusal of an ephemeral agent, and its remedy.
func (e *Env) refusedAgent(err error) (refused, remedy string) {
	refused = "an ephemeral agent is refused: " + render.Error(err)
	if strings.Contains(err.Error(), "failed calling webhook") {
		return refused, fmt.Sprintf("a webhook with failurePolicy Fail is not reached: see that it runs, or have it leave out namespace %s "+
			"(kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations)", e.Namespace)
	}
	return refused, fmt.Sprintf("have the policy that says so allow ephemeral containers named %s, with NET_ADMIN, in namespace %s", sidecar.Container, e.Namespace)
}
