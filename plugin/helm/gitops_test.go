package helm

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestCheckGitOps(t *testing.T) {
	type pairs = map[string]string
	byHelm := pairs{releaseNameAnnotation: ReleaseName, "deployment.kubernetes.io/revision": "1"}
	for _, tt := range []struct {
		name                        string
		annotations, labels, record pairs
		want                        string // who manages it
	}{
		{name: "helm", annotations: byHelm, labels: pairs{"app.kubernetes.io/instance": ReleaseName}},
		{name: "argo by annotation", want: "Argo CD, application platform_traffic-manager",
			annotations: pairs{"argocd.argoproj.io/tracking-id": "platform_traffic-manager:apps/Deployment:team-a/traffic-manager"},
			labels:      pairs{"app.kubernetes.io/instance": ReleaseName}},
		{name: "argo by label", labels: pairs{"argocd.argoproj.io/instance": "tm"}, want: "Argo CD, application tm"},
		{name: "flux on the deployment", annotations: byHelm, want: "Flux, helmrelease flux-system/tm",
			labels: pairs{"helm.toolkit.fluxcd.io/name": "tm", "helm.toolkit.fluxcd.io/namespace": "flux-system"}},
		{name: "flux on the release", annotations: byHelm, want: "Flux, helmrelease flux-system/tm",
			record: pairs{"helm.toolkit.fluxcd.io/name": "tm", "helm.toolkit.fluxcd.io/namespace": "flux-system"}},
		{name: "flux without helm", want: "Flux, kustomization flux-system/infra",
			labels: pairs{"kustomize.toolkit.fluxcd.io/name": "infra", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}},
	} {
		clients := fake.NewClientset(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
			Namespace: "team-a", Name: ReleaseName, Annotations: tt.annotations, Labels: tt.labels}})
		want := ""
		if tt.want != "" {
			want = "traffic-manager in namespace team-a is managed by " + tt.want +
				": change it there, or it will be changed back; --force goes on"
		}
		if got := message(CheckGitOps(t.Context(), clients, "team-a", &Release{Labels: tt.record})); got != want {
			t.Errorf("%s: %q, want %q", tt.name, got, want)
		}
	}
	if err := CheckGitOps(t.Context(), fake.NewClientset(), "team-a", nil); err != nil {
		t.Errorf("in an empty namespace: %v", err)
	}
}
