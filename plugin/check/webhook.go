package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// The check creates a pod as a dry run whose annotation asks for an agent. The webhook
// adds an agent, or it warns that no Service selects the pod.
const (
	injectAnnotation = "kubectl-intercept.dev/inject"
	warningPrefix    = "traffic-manager: "
)

// webhook is what the check knows about the webhook that adds agents to new pods.
type webhook struct {
	// config is the name of its MutatingWebhookConfiguration, and "" if there is none.
	config string
	// hidden means that the user may not read MutatingWebhookConfigurations.
	hidden bool
	// unselected means that the webhook does not apply to this namespace.
	unselected bool
	// reached means that the webhook has changed a pod or warned about it.
	reached bool
	// refused is the error of creating the pod.
	refused error
}

func (e *Env) webhookChecks() []Check {
	return []Check{{"the webhook that adds agents to new pods is reached", "the webhook that adds agents to new pods is not reached", e.withManager(func(ctx context.Context) Outcome {
		w, err := e.askWebhook(ctx)
		if err != nil {
			return fail(render.Error(err), "").unknown()
		}
		if i, err := e.askInstalled(ctx); err == nil && !i.Manages(e.Namespace) {
			return skip(fmt.Sprintf("the traffic-manager does not work in namespace %q", e.Namespace))
		}
		return e.judgeWebhook(w)
	})}}
}

func (e *Env) askWebhook(ctx context.Context) (*webhook, error) {
	return e.webhook.get(func() (*webhook, error) {
		w := &webhook{}
		list, err := e.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
		if err != nil {
			w.hidden = true
		} else if c, hook := findWebhook(list.Items, e.ManagerNamespace); c != nil {
			w.config = c.Name
			w.unselected = !e.selects(ctx, hook)
		}
		if !w.hidden && (w.config == "" || w.unselected) {
			return w, nil
		}
		sent := e.modestPod()
		sent.Annotations = map[string]string{injectAnnotation: "enabled"}
		got, warned, err := e.TryPod(ctx, sent)
		if err != nil {
			w.refused = err
			return w, nil
		}
		w.reached = touched(got) || slices.ContainsFunc(warned, func(s string) bool { return strings.HasPrefix(s, warningPrefix) })
		return w, nil
	})
}

// findWebhook returns the configuration and the webhook that call this traffic-manager
// for pods.
func findWebhook(list []admissionv1.MutatingWebhookConfiguration, namespace string) (*admissionv1.MutatingWebhookConfiguration, *admissionv1.MutatingWebhook) {
	for i, c := range list {
		for j, h := range c.Webhooks {
			s := h.ClientConfig.Service
			pods := slices.ContainsFunc(h.Rules, func(r admissionv1.RuleWithOperations) bool { return slices.Contains(r.Resources, "pods") })
			if s != nil && s.Namespace == namespace && strings.HasPrefix(s.Name, "traffic-manager") && pods {
				return &list[i], &list[i].Webhooks[j]
			}
		}
	}
	return nil, nil
}

// selects reports whether the webhook applies to the namespace. It returns true if it
// cannot find out.
func (e *Env) selects(ctx context.Context, h *admissionv1.MutatingWebhook) bool {
	selector, err := metav1.LabelSelectorAsSelector(h.NamespaceSelector)
	if err != nil || h.NamespaceSelector == nil {
		return true
	}
	ns, err := e.Kube.CoreV1().Namespaces().Get(ctx, e.Namespace, metav1.GetOptions{})
	return err != nil || selector.Matches(labels.Set(ns.Labels))
}

// touched reports whether the pod has an agent.
func touched(p *corev1.Pod) bool {
	agent := func(c corev1.Container) bool { return strings.HasPrefix(c.Name, sidecar.Container) }
	return slices.ContainsFunc(p.Spec.Containers, agent) || slices.ContainsFunc(p.Spec.InitContainers, agent)
}

func (e *Env) judgeWebhook(w *webhook) Outcome {
	hint := fmt.Sprintf("a firewall must let the API server through to port 443 of the pods in namespace %q; kubectl logs deployment/traffic-manager -n %s tells what reaches it",
		e.ManagerNamespace, e.ManagerNamespace)
	switch {
	case w.reached:
		return ok(w.config)
	case w.hidden:
		return skip("whether there is one, you may not see: that needs \"list\" of mutatingwebhookconfigurations")
	case w.config == "":
		return skip("there is none: agents enter running pods")
	case w.unselected:
		return skip(fmt.Sprintf("%s does not look at namespace %q", w.config, e.Namespace))
	case w.refused != nil && strings.Contains(w.refused.Error(), "failed calling webhook"):
		return fail(render.Error(w.refused), hint)
	case w.refused != nil:
		return skip("a pod to try it with is refused: " + render.Error(w.refused))
	}
	return fail(w.config+" says nothing about a pod that asks for an agent", hint)
}
