package uninstall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
)

// clean removes what Helm does not know of, when the traffic-manager is gone.
func (o *Options) clean(ctx context.Context, where *scope) error {
	released, err := o.release(ctx, where)
	if err != nil {
		return err
	}
	o.readopt(ctx, where)
	if err := o.deleteSessions(ctx); err != nil {
		return err
	}
	if err := o.deleteLeftovers(ctx); err != nil {
		return err
	}
	o.reportAgents(ctx, where, released)
	return nil
}

// deleteSessions deletes every session of this traffic-manager.
func (o *Options) deleteSessions(ctx context.Context) error {
	var list v1alpha1.SessionList
	err := o.Client.List(ctx, &list, client.InNamespace(o.Namespace))
	if unknown(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	for i := range list.Items {
		if err := o.Client.Delete(ctx, &list.Items[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete session %s: %w", list.Items[i].Name, err)
		}
	}
	return nil
}

// deleteLeftovers deletes what the traffic-manager made itself at run time: it
// labels its Secrets; its Leases have its name in front.
func (o *Options) deleteLeftovers(ctx context.Context) error {
	secrets := o.Kube.CoreV1().Secrets(o.Namespace)
	made, err := secrets.List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=" + helm.ReleaseName})
	if err != nil {
		return fmt.Errorf("list secrets: %w", err)
	}
	leases := o.Kube.CoordinationV1().Leases(o.Namespace)
	held, err := leases.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	var errs []error
	for _, s := range made.Items {
		if err := secrets.Delete(ctx, s.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("delete secret %s: %w", s.Name, err))
		}
	}
	for _, l := range held.Items {
		if !strings.HasPrefix(l.Name, helm.ReleaseName) {
			continue
		}
		if err := leases.Delete(ctx, l.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("delete lease %s: %w", l.Name, err))
		}
	}
	return errors.Join(errs...)
}

// reportAgents names the pods that agents stay in: an ephemeral container cannot
// be removed, and nobody replaces pods with a sidecar any more. They pass everything to the application, but for what the
// traffic-manager did not end and --no-fallback forbids.
func (o *Options) reportAgents(ctx context.Context, where *scope, released []v1alpha1.Intercept) {
	for _, i := range released {
		if i.Spec.NoFallback {
			fmt.Fprintf(o.ErrOut, "Warning: %s/%s was made with --no-fallback, and no traffic-manager could end it: "+
				"callers are refused until the pods of %s are replaced\n", i.Namespace, i.Name, resolve.RefString(i.Spec.Workload))
		}
	}
	pods, err := o.pods(ctx, where, hasAgent, hasEnded)
	if err != nil {
		fmt.Fprintf(o.ErrOut, "Warning: cannot tell in which pods agents stay: %v\n", err)
		return
	}
	if running := pods[0]; len(running) > 0 {
		fmt.Fprintf(o.ErrOut, "Idle agents stay until these pods are replaced: %s\n", strings.Join(running, ", "))
	}
	if ended := pods[1]; len(ended) > 0 {
		fmt.Fprintf(o.ErrOut, "The ephemeral containers of agents that have ended stay listed until their pods are replaced: %s\n", strings.Join(ended, ", "))
	}
}

// hasAgent says whether an agent runs in a pod.
func hasAgent(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && (sidecar.Of(p) != nil || ephemeral(p, func(s corev1.ContainerState) bool { return s.Running != nil }))
}

// hasEnded says that a pod has agents, and none of them runs.
func hasEnded(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && !hasAgent(p) && ephemeral(p, func(s corev1.ContainerState) bool { return s.Terminated != nil })
}

// ephemeral says whether a pod has an ephemeral agent in some state.
func ephemeral(p *corev1.Pod, is func(corev1.ContainerState) bool) bool {
	return slices.ContainsFunc(p.Status.EphemeralContainerStatuses, func(c corev1.ContainerStatus) bool {
		return sidecar.IsAgent(c.Name) && is(c.State)
	})
}

// checkAlone refuses to take the definitions away from another traffic-manager.
func (o *Options) checkAlone(ctx context.Context) error {
	list, err := o.Kube.AppsV1().Deployments("").List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=" + helm.ReleaseName + ",app.kubernetes.io/part-of=kubectl-intercept"})
	if err != nil {
		return fmt.Errorf("list deployments: %w", err)
	}
	for _, d := range list.Items {
		if d.Namespace != o.Namespace {
			return fmt.Errorf("--delete-crds would end the %s in namespace %s too: uninstall that one first", helm.ReleaseName, d.Namespace)
		}
	}
	return nil
}

// deleteCRDs deletes the definitions and says whether there were any.
func (o *Options) deleteCRDs(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	names, err := o.Releases.DeleteCRDs(ctx)
	if err != nil || len(names) == 0 {
		return false, err
	}
	fmt.Fprintf(o.ErrOut, "Deleted: customresourcedefinition %s\n", strings.Join(names, ", customresourcedefinition "))
	return true, nil
}

// describeKept turns the namespace and "CustomResourceDefinition/x" names into a
// list for people.
func describeKept(namespace string, kept []string) string {
	names := []string{"namespace " + namespace}
	for _, k := range kept {
		kind, name, _ := strings.Cut(k, "/")
		names = append(names, strings.ToLower(kind)+" "+name)
	}
	return strings.Join(names, ", ")
}
