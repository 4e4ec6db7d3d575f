package preview

import (
	"regexp"
	"strings"
	"testing"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// reconcile names a preview as the leader does, and returns what the status says.
func reconcile(t *testing.T, c client.Client, n *Namer) (*v1alpha1.PreviewStatus, ctrl.Result) {
	t.Helper()
	key := client.ObjectKey{Namespace: "shop", Name: "quote"}
	again, err := n.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		t.Fatal(err)
	}
	var ic v1alpha1.Intercept
	if err := c.Get(t.Context(), key, &ic); err != nil {
		t.Fatal(err)
	}
	return ic.Status.Preview, again
}

func TestName(t *testing.T) {
	random := regexp.MustCompile(`^https://[a-z2-7]{26}\.preview\.example\.com/$`)
	for name, c := range map[string]struct {
		change  func(*v1alpha1.Intercept)
		off     bool
		url     bool
		message string
	}{
		"new":           {url: true},
		"none":          {change: func(ic *v1alpha1.Intercept) { ic.Spec.Preview = nil }},
		"off":           {off: true, message: "--set preview.enabled=true,preview.domain=DOMAIN"},
		"no permission": {change: func(ic *v1alpha1.Intercept) { ic.Spec.Preview.Host = "nginx.edge" }, message: `user "ada" may not`},
		"two values": {change: func(ic *v1alpha1.Intercept) { ic.Spec.Match.Headers[0].Regexp = "a|b" },
			message: "a preview cannot match the header x-intercept-id=a|b"},
		"of before": {change: func(ic *v1alpha1.Intercept) {
			ic.Status.Preview = &v1alpha1.PreviewStatus{URL: urlOf(strings.Repeat("a", 26), "preview.example.com")}
		}, url: true},
		"of another domain": {change: func(ic *v1alpha1.Intercept) {
			ic.Status.Preview = &v1alpha1.PreviewStatus{URL: urlOf(strings.Repeat("a", 26), "old.example.com")}
		}, url: true},
		"of a domain below": {change: func(ic *v1alpha1.Intercept) {
			ic.Status.Preview = &v1alpha1.PreviewStatus{URL: urlOf(strings.Repeat("a", 26), "old.preview.example.com")}
		}, url: true},
	} {
		t.Run(name, func(t *testing.T) {
			ic := intercept(func(ic *v1alpha1.Intercept) {
				ic.Status.Preview = nil
				if c.change != nil {
					c.change(ic)
				}
			})
			before := ic.Status.Preview
			kube := cluster(t, ic)
			now, again := reconcile(t, kube, &Namer{Client: kube, Policy: policy(kube), Enabled: !c.off})
			switch {
			case !c.url && c.message == "" && now != nil, (c.url || c.message != "") && now == nil:
				t.Fatalf("%+v", now)
			case now == nil:
				return
			case c.url != random.MatchString(now.URL), !strings.Contains(now.Message, c.message), (c.message == "") != (now.Message == ""):
				t.Errorf("%+v", now)
			case before != nil && (before.URL == now.URL) != (name == "of before"):
				t.Errorf("%s after %s", now.URL, before.URL)
			case (again.RequeueAfter > 0) != !c.off:
				t.Errorf("again %v", again)
			}
		})
	}
}

// The URL stays while what it leads to is away.
func TestNameStays(t *testing.T) {
	kube := cluster(t, intercept(func(ic *v1alpha1.Intercept) { ic.Status.Preview = nil }))
	n := &Namer{Client: kube, Policy: policy(kube), Enabled: true}
	first, _ := reconcile(t, kube, n)
	edge := service("shop", "edge", "10.96.1.1", 80)
	if err := kube.Delete(t.Context(), edge); err != nil {
		t.Fatal(err)
	}
	away, again := reconcile(t, kube, n)
	if again.RequeueAfter == 0 {
		t.Error("nobody looks whether it is back")
	}
	if err := kube.Create(t.Context(), edge); err != nil {
		t.Fatal(err)
	}
	back, _ := reconcile(t, kube, n)
	if first.URL == "" || away.URL != first.URL || away.Message == "" || *back != *first {
		t.Errorf("%+v, %+v, %+v", first, away, back)
	}
}
