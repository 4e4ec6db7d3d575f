//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestSidecarQuota: the quota leaves no room for a new pod. The error names it
// within seconds, and the application is where it was.
func TestSidecarQuota(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 1, "")
	l.Must(l.Client.Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "small"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}}}))
	l.Until("the quota counts", func() error {
		var q corev1.ResourceQuota
		err := l.Client.Get(t.Context(), client.ObjectKey{Namespace: l.Namespace, Name: "small"}, &q)
		if used := q.Status.Used[corev1.ResourcePods]; err == nil && used.Value() != 1 {
			err = fmt.Errorf("it counts %s pods", used.String())
		}
		return err
	})
	failsWell(l, l.Laptop("alice"), quote, "the namespace's quota forbids it", "exceeded quota: small")
}

// TestSidecarUnschedulable: no node has room for what the limit range gives to
// a new pod.
func TestSidecarUnschedulable(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 1, "")
	l.Must(l.Client.Create(t.Context(), &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "large"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer,
			DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")},
			Default:        corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}}}}}))
	failsWell(l, l.Laptop("alice"), quote, "cannot be scheduled", "Insufficient cpu")
}

// TestSidecarAwaitsNode: no node takes the new pod, and then the autoscaler says
// that one comes. That is waited for, longer than the grace, and what is waited for
// is said.
func TestSidecarAwaitsNode(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 1, "")
	upgrade(l, "--set", "agentInjector.schedulingGrace=8s")
	t.Cleanup(func() { l.Must(cordon(context.Background(), l, false)) })
	l.Must(cordon(t.Context(), l, true))
	before := l.Pod()
	alice := l.Laptop("alice")
	type result struct {
		out string
		err error
	}
	added := make(chan result, 1)
	port := alice.Serve("alice").To("")
	go func() {
		out, err := alice.RunQuiet("add", "quote", "--inject", "sidecar", "--timeout", "2m", "--port", port)
		added <- result{out, err}
	}()
	says := func(text string) {
		t.Helper()
		l.Until("the intercept says: "+text, func() error {
			ic, err := l.Get("quote")
			if err == nil && !strings.Contains(ic.Status.Message, text) {
				err = fmt.Errorf("it is %s: %s", ic.Status.State, ic.Status.Message)
			}
			return err
		})
	}
	says("waiting up to 8s for a node for pod")
	fresh := l.Pods()[slices.IndexFunc(l.Pods(), func(p corev1.Pod) bool { return p.UID != before.UID })]
	l.Must(l.Client.Create(t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: l.Namespace, Name: fresh.Name + ".scale-up"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: fresh.Namespace, Name: fresh.Name, UID: fresh.UID},
		Type:           corev1.EventTypeNormal, Reason: "TriggeredScaleUp", Message: "pod triggered scale-up: [{workers 2->3 (max: 9)}]",
		Source:         corev1.EventSource{Component: "cluster-autoscaler"},
		FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(), Count: 1}))
	says("waiting for a node for pod " + fresh.Name + " with the sidecar, which the autoscaler has announced: pod triggered scale-up: [{workers 2->3 (max: 9)}]")
	l.Until("the grace is over", func() error {
		if since := time.Since(fresh.CreationTimestamp.Time); since < 12*time.Second {
			return fmt.Errorf("the pod is there for %s", since)
		}
		return nil
	})
	says("which the autoscaler has announced")
	l.Answers(quote, lab.Application)
	l.Must(cordon(t.Context(), l, false)) // the node comes
	if r := <-added; r.err != nil {
		t.Fatal(r.err)
	}
	l.Eventually(quote, "alice")
	replaced(l)
	if now := l.Pod(); now.UID != fresh.UID {
		t.Errorf("the pod is %s, not %s which was waited for", now.Name, fresh.Name)
	}
	alice.Intercept("leave", "quote")
}

// cordon closes all nodes to new pods, or opens them.
func cordon(ctx context.Context, l *lab.Lab, closed bool) error {
	var nodes corev1.NodeList
	if err := l.Client.List(ctx, &nodes); err != nil {
		return err
	}
	for i := range nodes.Items {
		before := nodes.Items[i].DeepCopy()
		nodes.Items[i].Spec.Unschedulable = closed
		if err := l.Client.Patch(ctx, &nodes.Items[i], client.MergeFrom(before)); err != nil {
			return err
		}
	}
	return nil
}

// failsWell asks for a sidecar that cannot be. The error says why, the pod that
// served goes on serving, and nothing is left over.
func failsWell(l *lab.Lab, alice *lab.Laptop, quote string, why ...string) {
	l.Helper()
	pod := l.Pod().UID
	stream := l.Stream(quote)
	o := alice.Refused([]string{"add", "quote", "--inject", "sidecar", "--port", alice.Serve("alice").To("")}, why...)
	l.Logf("refused after %s", o.Took)
	if o.Took > 30*time.Second {
		l.Errorf("that took %s: a time-out", o.Took)
	}
	l.Gone("quote")
	replaced(l)
	if p := l.Pod(); p.UID != pod || p.Labels["pod-template-hash"] == "" || metav1.GetControllerOf(p) == nil {
		l.Errorf("pod %s is not what it was: labels %v", p.Name, p.Labels)
	}
	intact(l, stream)
}

// TestSidecarPodSecurity: the application itself does not comply, so no pod can
// be made anew.
func TestSidecarPodSecurity(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	enforce(l, "restricted")
	failsWell(l, l.Laptop("alice"), quote, "pod security forbids it", "violates PodSecurity")
}

// TestWebhookAuthority: the traffic-manager writes its authority where the API
// server looks for it, again when somebody has overwritten it.
func TestWebhookAuthority(t *testing.T) {
	l := lab.New(t, clusters)
	bundle := func() []byte {
		t.Helper()
		var c admissionregistrationv1.MutatingWebhookConfiguration
		l.Must(l.Client.Get(t.Context(), client.ObjectKey{Name: "agent-injector-traffic-manager-intercept-system"}, &c))
		if len(c.Webhooks) != 1 || *c.Webhooks[0].FailurePolicy != admissionregistrationv1.Ignore {
			t.Fatalf("webhooks %+v", c.Webhooks)
		}
		return c.Webhooks[0].ClientConfig.CABundle
	}
	right := bundle()
	if len(right) == 0 {
		t.Fatal("no authority")
	}
	_, err := kubectl(l, "patch", "mutatingwebhookconfiguration", "agent-injector-traffic-manager-intercept-system", "--type=json",
		"-p", `[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`)
	l.Must(err)
	l.Until("the authority is back", func() error {
		if !bytes.Equal(bundle(), right) {
			return errors.New("it is not")
		}
		return nil
	})
	quoted(l, "http", 1, "kubectl-intercept.dev/inject: enabled")
	if got := containers(l.Pod()); !slices.Equal(got, []string{"quote", "traffic-agent"}) {
		t.Errorf("containers %v", got)
	}
}
