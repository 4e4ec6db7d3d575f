package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams
	// Ref is the workload; nil for every agent of Namespace, or of all
	// namespaces when that is empty.
	Ref       *v1alpha1.WorkloadReference
	Namespace string
	// Serves says in which namespaces of all agents are removed; nil means
	// everywhere.
	Serves func(namespace string) bool
	// Step says that this is a part of something larger, after which there is no
	// traffic-manager: nothing is said when there is nothing to do.
	Step     bool
	Wait     bool
	Timeout  time.Duration
	Interval time.Duration
	Client   client.Client
	Now      func() time.Time
}

// Run asks the agents to leave and waits until they have.
func (o *Options) Run(ctx context.Context) error {
	pods, what, err := o.pods(ctx)
	if err != nil {
		return err
	}
	if pods, err = o.free(ctx, pods); err != nil {
		return err
	}
	if len(pods) == 0 && o.Step {
		return nil
	}
	if len(pods) == 0 {
		fmt.Fprintf(o.ErrOut, "no agents to remove %s\n", what)
		return nil
	}
	for i := range pods {
		if err := o.ask(ctx, &pods[i]); err != nil {
			return err
		}
	}
	if o.Wait {
		if err := o.await(ctx, pods); err != nil {
			return err
		}
	}
	n := render.Count(int64(len(pods)), "pod")
	if !o.Wait {
		_, err = fmt.Fprintf(o.Out, "asked the agents in %s %s to leave\n", n, what)
		return err
	}
	_, err = fmt.Fprintf(o.Out, "removed the agents from %s %s\n", n, what)
	return err
}

// pods are those with an agent, and what they are of.
func (o *Options) pods(ctx context.Context) ([]corev1.Pod, string, error) {
	var pods []corev1.Pod
	what := "in namespace " + o.Namespace
	switch {
	case o.Ref != nil:
		w, _, err := target.Find(ctx, o.Client, o.Namespace, *o.Ref)
		if err != nil {
			return nil, "", err
		}
		what = "of " + w.String()
		if pods, err = w.Pods(ctx, o.Client); err != nil {
			return nil, "", fmt.Errorf("list pods: %w", err)
		}
	default:
		if o.Namespace == "" {
			what = "in all namespaces"
		}
		var list corev1.PodList
		if err := o.Client.List(ctx, &list, client.InNamespace(o.Namespace)); err != nil {
			return nil, "", fmt.Errorf("list pods: %w", err)
		}
		pods = list.Items
	}
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool {
		return !has(&p) || o.Serves != nil && !o.Serves(p.Namespace)
	}), what, nil
}

// has says whether an agent is in the pod.
func has(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	return sidecar.Of(p) != nil || slices.ContainsFunc(p.Status.EphemeralContainerStatuses, func(c corev1.ContainerStatus) bool {
		return (sidecar.IsAgent(c.Name) || sidecar.IsStandIn(c.Name)) && c.State.Terminated == nil
	})
}

// free leaves out pods that are intercepted, which is an error if they were
// named, and those whose template wants an agent.
func (o *Options) free(ctx context.Context, pods []corev1.Pod) ([]corev1.Pod, error) {
	var list v1alpha1.InterceptList
	if err := o.Client.List(ctx, &list, client.InNamespace(o.Namespace)); err != nil {
		return nil, fmt.Errorf("list intercepts: %w", err)
	}
	var kept []corev1.Pod
	told := map[string]bool{}
	for _, p := range pods {
		by := o.interceptOf(ctx, list.Items, &p)
		switch {
		case by != nil && o.Ref != nil:
			return nil, fmt.Errorf("%s is intercepted by %s: end it first with kubectl intercept leave %s -n %s",
				resolve.RefString(by.Spec.Workload), by.Spec.User, by.Name, by.Namespace)
		case by != nil && !told[by.Namespace+"/"+by.Name]:
			told[by.Namespace+"/"+by.Name] = true
			fmt.Fprintf(o.ErrOut, "%s in namespace %s keeps its agents: it is intercepted by %s\n", resolve.RefString(by.Spec.Workload), by.Namespace, by.Spec.User)
		case by != nil:
		case sidecar.Of(&p) != nil && !sidecar.Of(&p).OnDemand:
			fmt.Fprintf(o.ErrOut, "pod %s keeps its agent: an annotation of its template wants one, kubectl-intercept.dev/inject or its like\n", p.Name)
		default:
			kept = append(kept, p)
		}
	}
	return kept, nil
}

func (o *Options) interceptOf(ctx context.Context, list []v1alpha1.Intercept, p *corev1.Pod) *v1alpha1.Intercept {
	for i := range list {
		if list[i].Namespace != p.Namespace {
			continue
		}
		if w, err := resolve.Get(ctx, o.Client, p.Namespace, list[i].Spec.Workload); err == nil && w.Matches(p) {
			return &list[i]
		}
	}
	return nil
}

// ask writes on the pod what the traffic-manager reads.
func (o *Options) ask(ctx context.Context, p *corev1.Pod) error {
	fresh := p.DeepCopy()
	metav1.SetMetaDataAnnotation(&fresh.ObjectMeta, sidecar.LeaveAnnotation, o.Now().UTC().Format(time.RFC3339))
	if err := o.Client.Patch(ctx, fresh, client.MergeFrom(p)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("ask the agent in pod %s to leave: %w", p.Name, err)
	}
	return nil
}

// await waits until no pod has its agent any more, and takes the request off
// those that stay.
func (o *Options) await(ctx context.Context, pods []corev1.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	for {
		var left []string
		for i := range pods {
			there, err := o.there(ctx, &pods[i])
			if err != nil && ctx.Err() == nil {
				return err
			}
			if there || err != nil {
				left = append(left, o.name(&pods[i]))
			}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			after := "; the traffic-manager goes on trying"
			if o.Step {
				after = ""
			}
			return fmt.Errorf("agents are still in %s%s: a PodDisruptionBudget may hold it up, or new pods that are not ready", strings.Join(left, ", "), after)
		}
	}
}

func (o *Options) name(p *corev1.Pod) string {
	if o.Namespace == "" {
		return p.Namespace + "/" + p.Name
	}
	return p.Name
}

func (o *Options) there(ctx context.Context, p *corev1.Pod) (bool, error) {
	var now corev1.Pod
	err := o.Client.Get(ctx, client.ObjectKeyFromObject(p), &now)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return true, fmt.Errorf("read pod %s: %w", p.Name, err)
	case now.UID != p.UID || now.DeletionTimestamp != nil:
		return false, nil
	case has(&now):
		return true, nil
	}
	fresh := now.DeepCopy()
	delete(fresh.Annotations, sidecar.LeaveAnnotation)
	return false, client.IgnoreNotFound(o.Client.Patch(ctx, fresh, client.MergeFrom(&now)))
}
