package uninstall

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// orphaned is a pod that was taken from a ReplicaSet of a revision.
func orphaned(namespace, name, revision, more string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: in(namespace, name)}
	p.Labels = map[string]string{"app": "quote", orphan.Label: "leaving"}
	p.Annotations = map[string]string{orphan.Annotation: `{"labels":{"hash":"` + revision + `"},"at":"2026-01-01T00:00:00Z"` + more + `}`,
		sidecar.Annotation: `{"uid":65431,"ports":[{"name":"http","number":8080,"protocol":"TCP","agent":9900}],"onDemand":true}`, sidecar.LeaveAnnotation: "2026-01-01T00:00:00Z"}
	p.Spec.Containers = []corev1.Container{{Name: "quote"}, {Name: sidecar.Container}}
	return p
}

// TestTakesBack: pods that were being replaced are what they were, or gone,
// whether the traffic-manager runs or not; those with a sidecar are named.
func TestTakesBack(t *testing.T) {
	for _, ready := range []int32{0, 1} {
		scheme, err := kube.Scheme()
		if err != nil {
			t.Fatal(err)
		}
		rs := &appsv1.ReplicaSet{ObjectMeta: in("shop", "quote-a"), Spec: appsv1.ReplicaSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "quote", "hash": "a"}}}}
		pods := []client.Object{orphaned("shop", "serves", "a", ""), orphaned("shop", "orphan", "b", ""), orphaned("shop", "drained", "a", `,"drained":"2026-01-01T00:00:00Z"`),
			orphaned("blog", "elsewhere", "a", "")}
		objects := fake.NewClientBuilder().WithScheme(scheme).WithObjects(pods...).WithObjects(rs).Build()
		clients := kubefake.NewClientset(manager("intercept-system", ready), orphaned("shop", "serves", "a", ""))
		streams, _, _, errOut := genericiooptions.NewTestIOStreams()
		o := &Options{IOStreams: streams, Namespace: "intercept-system", Timeout: 50 * time.Millisecond, Interval: time.Millisecond, Now: now,
			Releases: &releases{kube: clients, there: &helm.Release{Name: "traffic-manager", Version: "0.1.0", Namespace: "intercept-system", Namespaces: []string{"shop"}}},
			Client:   objects, Kube: clients}
		if err := o.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, there := range map[client.ObjectKey]bool{{Namespace: "shop", Name: "serves"}: true, {Namespace: "shop", Name: "orphan"}: false,
			{Namespace: "shop", Name: "drained"}: false, {Namespace: "blog", Name: "elsewhere"}: true} {
			var p corev1.Pod
			err := objects.Get(t.Context(), name, &p)
			if client.IgnoreNotFound(err) != nil || apierrors.IsNotFound(err) == there {
				t.Errorf("%s: %v", name, err)
			}
			if l := p.Labels; there && (l["hash"] == "a" && l[orphan.Label] == "") != (name.Namespace == "shop") {
				t.Errorf("%s: labels %v", name, l)
			}
			if name.Name == "serves" && len(p.Annotations) != 1 {
				t.Errorf("annotations %v", p.Annotations)
			}
		}
		taken := "Removing pod shop/drained, which was being replaced\nRemoving pod shop/orphan, which was being replaced\nKeeping pod shop/serves, which was being replaced\n"
		want := uninstalling + taken
		if ready > 0 {
			want = "asked the agents in 3 pods in namespace shop to leave\n" + taken + uninstalling
		}
		want += "Idle agents stay until these pods are replaced: shop/serves\n" + kept
		if errOut.String() != want {
			t.Errorf("printed\n%s\nwant\n%s", errOut, want)
		}
	}
}
