//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// deny refuses to create or change a resource in the test's namespace, with a
// code that is not the usual one, or because its webhook is down.
func deny(l *lab.Lab, resource string, down bool) (name string) {
	l.Helper()
	name = "deny." + l.Namespace + ".test"
	rule := admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{resource}}}
	here := &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": l.Namespace}}
	if down {
		c := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: name, AdmissionReviewVersions: []string{"v1"},
				SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), FailurePolicy: ptr.To(admissionregistrationv1.Fail),
				NamespaceSelector: here, Rules: []admissionregistrationv1.RuleWithOperations{rule},
				ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: l.Namespace, Name: "nothere"}}}}}
		l.Must(l.Client.Create(l.Context(), c))
		l.Cleanup(func() { l.Must(l.Client.Delete(context.Background(), c)) })
		return name
	}
	p := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{NamespaceSelector: here,
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: rule}}},
			Validations: []admissionregistrationv1.Validation{{Expression: "false", Message: "not here", Reason: ptr.To(metav1.StatusReasonRequestEntityTooLarge)}}}}
	b := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name,
			ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}}}
	l.Must(l.Client.Create(l.Context(), p))
	l.Cleanup(func() { l.Must(l.Client.Delete(context.Background(), p)) })
	l.Must(l.Client.Create(l.Context(), b))
	l.Cleanup(func() { l.Must(l.Client.Delete(context.Background(), b)) })
	return name
}

// refuse has a webhook deny a resource in the test's namespace without a code, as
// policy engines do, and returns its name.
func refuse(l *lab.Lab, resource string) (name string) {
	l.Helper()
	name = "refuse." + l.Namespace + ".test"
	ln, err := l.Nodes[0].Listen("0.0.0.0:0")
	l.Must(err)
	var node corev1.Node
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Name: "node-1"}, &node))
	ip := net.ParseIP(node.Status.Addresses[0].Address)
	authority := l.Authority()
	server := &http.Server{ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{Certificates: []tls.Certificate{authority.Issue(name, ip).Certificate}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var review admissionv1.AdmissionReview
			if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "no debugging here"}}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(review)
		})}
	go server.ServeTLS(ln, "", "")
	l.Cleanup(func() { server.Close() })
	c := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: name, AdmissionReviewVersions: []string{"v1"},
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), FailurePolicy: ptr.To(admissionregistrationv1.Fail),
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": l.Namespace}},
			Rules: []admissionregistrationv1.RuleWithOperations{{Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
				Rule: admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{resource}}}},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{CABundle: authority.PEM,
				URL: ptr.To("https://" + net.JoinHostPort(ip.String(), fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)) + "/")}}}}
	l.Must(l.Client.Create(l.Context(), c))
	l.Cleanup(func() { l.Must(l.Client.Delete(context.Background(), c)) })
	return name
}

// denied waits until the API server knows of a denial: a dry run is refused.
func denied(l *lab.Lab, dryRun func(*corev1.Pod) error, who string) {
	l.Helper()
	l.Until("it is denied", func() error {
		switch err := dryRun(l.Pod()); {
		case err == nil:
			return errors.New("it is not")
		case !strings.Contains(err.Error(), who):
			return err
		}
		return nil
	})
}

// deniedEphemeral is denied for ephemeral containers.
func deniedEphemeral(l *lab.Lab, who string) {
	l.Helper()
	denied(l, func(p *corev1.Pod) error {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "try", Image: "none"}}}
		return l.Client.SubResource("ephemeralcontainers").Update(l.Context(), p, client.DryRunAll)
	}, who)
}

// TestEphemeralDenied: whoever denies ephemeral containers, and with whatever
// code, a sidecar is next, and add names it.
func TestEphemeralDenied(t *testing.T) {
	const ephemeral = "pods/ephemeralcontainers"
	for name, with := range map[string]func(*lab.Lab) string{
		"policy with another code": func(l *lab.Lab) string { return deny(l, ephemeral, false) },
		"webhook that is down":     func(l *lab.Lab) string { return deny(l, ephemeral, true) },
		"webhook without a code":   func(l *lab.Lab) string { return refuse(l, ephemeral) },
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t, clusters)
			quote := quoted(l, "http", 1, "")
			who := with(l)
			deniedEphemeral(l, who)
			alice := l.Laptop("alice")
			if out := administrator(l).Try("kubectl-intercept", "check", "-n", l.Namespace).Out; !strings.Contains(out, "lets no agent with NET_ADMIN into running pods: an ephemeral agent is refused: ") || !strings.Contains(out, who) {
				t.Error("check does not say who refuses an agent")
			}
			alice.Refused([]string{"add", "quote", "--inject", "ephemeral", "--port", alice.Serve("alice").To("")}, who)
			o := alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
			if !strings.Contains(o.Out, "sidecar (") || !strings.Contains(o.Out, who) {
				t.Error("add does not say that it is a sidecar, and because of whom")
			}
			l.Answers(quote, "alice")
			replaced(l)
		})
	}
}

// TestEvictionDenied: pods that may not be evicted cannot be replaced. That is
// said at once, with what to do, and nothing is touched.
func TestEvictionDenied(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 1, "")
	who := deny(l, "pods/eviction", false)
	denied(l, func(p *corev1.Pod) error { return orphan.Evict(l.Context(), l.Client, p, client.DryRunAll) }, who)
	failsWell(l, l.Laptop("alice"), quote, who, "does not let pod", "kubectl delete pod")
}

// apart is the affinity of pods of which each wants a node for itself.
const apart = "      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: " +
	"[{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: quote}}}]}}\n"

// TestSidecarWithoutSurge: pods that have a port of their node, or that no other of
// their kind may be beside, cannot be two on one, so the old one goes first, as the
// strategy says.
func TestSidecarWithoutSurge(t *testing.T) {
	for name, text := range map[string][2]string{
		"a port of the node":     {"containerPort: 8080}", "containerPort: 8080, hostPort: 18080}"},
		"required anti-affinity": {"      containers:\n", apart + "      containers:\n"},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t, clusters)
			l.Apply("replicas.yaml", "replicas: 3", "replicas: 2", "{maxUnavailable: 0, maxSurge: 1}", "{maxUnavailable: 1, maxSurge: 0}", text[0], text[1])
			quote := l.Serving("quote", "http")
			alice := l.Laptop("alice")
			alice.Intercept("add", "quote", "--inject", "sidecar", "--port", alice.Serve("alice").To(""))
			replaced(l)
			l.Answers(quote, "alice")
			alice.Intercept("leave", "quote")
			alice.Intercept("uninstall", "agent", "quote", "-n", l.Namespace)
			replaced(l)
			for _, p := range l.Pods() {
				if len(p.Spec.Containers) != 1 {
					t.Errorf("pod %s has %v", p.Name, containers(&p))
				}
			}
		})
	}
}
