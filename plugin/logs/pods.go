package logs

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// managerLabels select the pods of the traffic-manager in its namespace.
const managerLabels = "app.kubernetes.io/name=traffic-manager,app.kubernetes.io/part-of=kubectl-intercept"

// managerContainer is the traffic-manager's own container.
const managerContainer = "traffic-manager"

// ManagerPods are the pods of the traffic-manager, by name.
func ManagerPods(ctx context.Context, k kubernetes.Interface, namespace string) ([]corev1.Pod, error) {
	list, err := k.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: managerLabels})
	if err != nil {
		return nil, fmt.Errorf("list the pods of the traffic-manager: %w", err)
	}
	return list.Items, nil
}

// Managers are the logs of all replicas of the traffic-manager.
func Managers(ctx context.Context, k kubernetes.Interface, namespace string) ([]Source, error) {
	pods, err := ManagerPods(ctx, k, namespace)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, fmt.Errorf("the traffic-manager has no pod in namespace %q: kubectl intercept check says why", namespace)
	}
	var sources []Source
	for _, p := range pods {
		sources = append(sources, Container(k, &p, managerContainer))
	}
	return sources, nil
}

// agentName is what the containers of agents are called, see sidecar.FreeName.
var agentName = regexp.MustCompile(`^` + sidecar.Container + `(-[0-9]+)?$`)

// IsAgent says that a container with this name is an agent's.
func IsAgent(container string) bool { return agentName.MatchString(container) }

// AgentContainers are the names of the agent's containers in a pod, also of those that have ended.
func AgentContainers(p *corev1.Pod) []string {
	var names []string
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		names = append(names, c.Name)
	}
	for _, c := range p.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	return slices.DeleteFunc(names, func(name string) bool { return !IsAgent(name) })
}

// Agents are the logs of the agents in the pods of a workload.
func Agents(ctx context.Context, r client.Reader, k kubernetes.Interface, namespace string, ref v1alpha1.WorkloadReference) ([]Source, error) {
	w, _, err := target.Find(ctx, r, namespace, ref)
	if err != nil {
		return nil, err
	}
	pods, err := w.Pods(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", w, err)
	}
	var sources []Source
	for _, p := range pods {
		for _, name := range AgentContainers(&p) {
			sources = append(sources, Container(k, &p, name))
		}
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("no pod of %s has an agent: kubectl intercept add puts one there", w)
	}
	return sources, nil
}

// Container is the log of a container.
func Container(k kubernetes.Interface, p *corev1.Pod, container string) Source {
	namespace, pod, name := p.Namespace, p.Name, "pod/"+p.Name
	if container != managerContainer && container != sidecar.Container {
		name += "/" + container // of several agents in one pod
	}
	return Source{Name: name, Write: func(ctx context.Context, w io.Writer, o Options) error {
		opts := &corev1.PodLogOptions{Container: container, Follow: o.Follow, Previous: o.Previous}
		if o.Tail >= 0 {
			opts.TailLines = &o.Tail
		}
		if !o.Since.IsZero() {
			opts.SinceTime = &metav1.Time{Time: o.Since.Truncate(time.Second)}
		}
		stream, err := k.CoreV1().Pods(namespace).GetLogs(pod, opts).Stream(ctx)
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = io.Copy(w, stream)
		return err
	}}
}
