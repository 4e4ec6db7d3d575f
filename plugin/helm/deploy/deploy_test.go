package deploy

import (
	"context"
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	discoveryfake "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/helmtest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// releases is a namespace with at most one release.
type releases struct {
	*helm.Client
	there   *helm.Release
	getErr  error
	fails   error // what install and upgrade return
	changed string
}

func (r *releases) Get(context.Context) (*helm.Release, error) {
	if r.there == nil && r.getErr == nil {
		return nil, fmt.Errorf("traffic-manager is %w in namespace team-a", helm.ErrNotInstalled)
	}
	return r.there, r.getErr
}

func (r *releases) Install(context.Context, helm.Options) (*helm.Release, error) {
	return r.change("install")
}

func (r *releases) Upgrade(context.Context, helm.Options) (*helm.Release, error) {
	return r.change("upgrade")
}

func (r *releases) change(how string) (*helm.Release, error) {
	if r.fails != nil {
		return nil, r.fails
	}
	r.changed = how
	return &helm.Release{Name: "traffic-manager", Version: "0.1.0", Namespace: "team-a"}, nil
}

// fixture makes Options for a cluster of one version with some objects.
func fixture(t *testing.T, server string, rel *releases, objects ...runtime.Object) (*Options, func() (out, errOut string)) {
	t.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	f := kube.NewFactory()
	namespace := "team-a"
	f.ConfigFlags.Namespace = &namespace
	o, err := New(t.Context(), f, streams, &helm.ApplyFlags{DryRun: "none", Timeout: 1, Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	if rel.Client, err = helm.New(f, namespace); err != nil {
		t.Fatal(err)
	}
	clients := fake.NewClientset(objects...)
	helmtest.As("admin", clients)
	clients.Discovery().(*discoveryfake.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: server}
	o.Kube, o.Releases = clients, rel
	return o, func() (string, string) { return out.String(), errOut.String() }
}

func deployment(labels map[string]string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "traffic-manager", Labels: labels},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "tm"}}},
	}
}

func TestBefore(t *testing.T) {
	deployed := &helm.Release{Name: "traffic-manager", Version: "0.0.9", Namespace: "team-a", Status: "deployed", Revision: 2}
	pending := *deployed
	pending.Status = "pending-upgrade"
	flux := deployment(map[string]string{"helm.toolkit.fluxcd.io/name": "tm", "helm.toolkit.fluxcd.io/namespace": "flux-system"})
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "",
		errors.New(`User "bob" cannot list resource "secrets" in API group "" in the namespace "team-a"`))
	const managed = "traffic-manager in namespace team-a is managed by Flux, helmrelease flux-system/tm: " +
		"change it there, or it will be changed back; --force goes on"
	for _, tt := range []struct {
		name, server string
		rel          releases
		objects      []runtime.Object
		force        bool
		values       map[string]any
		errOut       string
		want         *helm.Release
		wantErr      string
	}{
		{name: "beside one for all", server: "v1.30.1", objects: []runtime.Object{says("team-b", "")}, force: true,
			wantErr: "there is a traffic-manager already, in namespace team-b, for all namespaces; two in one namespace take each other's intercepts apart: " +
				"everybody can use that one; for two side by side, both need a list of their own: --set namespaces='{…}'; kubectl intercept upgrade --namespace team-b changes that one"},
		{name: "for all beside one", server: "v1.30.1", objects: []runtime.Object{says("team-b", "shop")},
			wantErr: "there is a traffic-manager already, in namespace team-b, for namespace shop; two in one namespace take each other's intercepts apart: " +
				"this one needs a list of other namespaces: --set namespaces='{…}'"},
		{name: "one in common", server: "v1.30.1", objects: []runtime.Object{says("team-b", "blog,shop")}, values: namespaces("crm", "shop"),
			wantErr: "there is a traffic-manager already, in namespace team-b, for namespace blog, shop; two in one namespace take each other's intercepts apart: " +
				"leave shop out of namespaces"},
		{name: "none in common", server: "v1.30.1", objects: []runtime.Object{says("team-b", "blog,shop"), says("team-a", "")}, values: namespaces("crm")},
		{name: "upgrade of one of two", server: "v1.30.1", rel: releases{there: deployed}, objects: []runtime.Object{says("team-b", "")}, want: deployed,
			wantErr: "there is a traffic-manager already, in namespace team-b, for all namespaces; two in one namespace take each other's intercepts apart: " +
				"everybody can use that one; for two side by side, both need a list of their own: --set namespaces='{…}'"},
		{name: "no effect", server: "v1.30.1", values: map[string]any{"agent": map[string]any{"envoy": map[string]any{"logLevel": "debug"}}},
			errOut: "Warning: agent.envoy has no effect: there is no Envoy\n"},
		{name: "no secret", server: "v1.30.1", values: map[string]any{"license": map[string]any{"secret": map[string]any{"name": "mine"}}},
			errOut: "Warning: there is no secret mine in namespace team-a (license.secret.name): until there is, the traffic-manager has no license\n"},
		{name: "misspelled", server: "v1.30.1", values: map[string]any{"replica": 2}, wantErr: "invalid values: there is no value replica; did you mean replicas?"},
		{name: "absent", server: "v1.30.1"},
		{name: "there", server: "v1.30.1", rel: releases{there: deployed}, want: deployed},
		{name: "old server", server: "v1.29.0", rel: releases{there: deployed},
			wantErr: "the server is Kubernetes v1.29.0, the traffic-manager needs 1.30 or later (ValidatingAdmissionPolicy)"},
		{name: "flux", server: "v1.30.1", rel: releases{there: deployed}, objects: []runtime.Object{flux}, wantErr: managed},
		{name: "flux, no release", server: "v1.30.1", objects: []runtime.Object{flux}, wantErr: managed},
		{name: "flux, forced", server: "v1.30.1", rel: releases{there: deployed}, objects: []runtime.Object{flux}, force: true, want: deployed},
		{name: "pending", server: "v1.30.1", rel: releases{there: &pending}, want: &pending,
			wantErr: "traffic-manager 0.0.9 in namespace team-a is in state pending-upgrade since 0001-01-01T00:00:00Z: " +
				"another command is at it, or one was killed. If none is running:\n" +
				"  kubectl delete secret --namespace team-a sh.helm.release.v1.traffic-manager.v2  (forgets the unfinished revision)\n" +
				"and then again"},
		{name: "no permission", server: "v1.30.1", rel: releases{getErr: fmt.Errorf("read release: %w", forbidden)},
			wantErr: `no permission: user "bob" cannot list resource "secrets" in API group "" in the namespace "team-a"; ` +
				"it takes the rights of a cluster administrator (ClusterRole cluster-admin)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, printed := fixture(t, tt.server, &tt.rel, tt.objects...)
			o.Force, o.Apply.Values = tt.force, tt.values
			got, err := o.Before(t.Context())
			if err == nil {
				_, err = o.prepare(t.Context(), got)
			}
			if message(err) != tt.wantErr {
				t.Errorf("error %q, want %q", message(err), tt.wantErr)
			}
			if got != tt.want {
				t.Errorf("release %+v, want %+v", got, tt.want)
			}
			if out, errOut := printed(); out != "" || errOut != tt.errOut {
				t.Errorf("printed %q and %q", out, errOut)
			}
		})
	}
}

// says is what a traffic-manager says of itself.
func says(namespace, namespaces string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "traffic-manager", Labels: map[string]string{
		"app.kubernetes.io/name": "traffic-manager", "app.kubernetes.io/part-of": "kubectl-intercept"}},
		Data: map[string]string{"namespaces": namespaces}}
}

func namespaces(names ...any) map[string]any { return map[string]any{"namespaces": names} }

func TestChange(t *testing.T) {
	const nobody = "Warning: the value clientRbac.subjects is empty: only cluster administrators may connect\n"
	old := func(version string) *helm.Release {
		return &helm.Release{Name: "traffic-manager", Version: version, Namespace: "team-a"}
	}
	for _, tt := range []struct {
		name        string
		old         *helm.Release
		fails       error
		changed     string
		out, errOut string
		wantErr     string
	}{
		{name: "install", changed: "install",
			out: "traffic-manager 0.1.0 installed in namespace team-a\n",
			errOut: "Installing traffic-manager 0.1.0 into namespace team-a\n" +
				"User \"admin\" may connect. The value clientRbac.subjects names who else may, for example:\n" +
				`  kubectl intercept upgrade --namespace team-a --set-json 'clientRbac.subjects=[{"kind":"User","name":"admin"},{"kind":"Group","name":"developers"}]'` + "\n"},
		{name: "other version", old: old("0.0.9"), changed: "upgrade",
			out:    "traffic-manager 0.1.0 upgraded in namespace team-a\n",
			errOut: nobody + "Upgrading traffic-manager from 0.0.9 to 0.1.0 in namespace team-a\n"},
		{name: "other values", old: old("0.1.0"), changed: "upgrade",
			out:    "traffic-manager 0.1.0 upgraded in namespace team-a\n",
			errOut: nobody + "Upgrading traffic-manager 0.1.0 in namespace team-a\n"},
		{name: "not ready", fails: fmt.Errorf("install chart: traffic-manager %w after 2m0s", helm.ErrNotReady),
			errOut: "Installing traffic-manager 0.1.0 into namespace team-a\n",
			wantErr: "install chart: traffic-manager is not ready after 2m0s\n" +
				"pod/tm-1: ErrImagePull: no such image\n  last events:\n    Failed: no such image"},
		// What the pods say has nothing to do with this one.
		{name: "refused", fails: errors.New("install chart: no"),
			errOut:  "Installing traffic-manager 0.1.0 into namespace team-a\n",
			wantErr: "install chart: no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rel := &releases{fails: tt.fails}
			meta := metav1.ObjectMeta{Namespace: "team-a", Name: "tm-1", Labels: map[string]string{"app": "tm"}}
			o, printed := fixture(t, "v1.36.0", rel, deployment(nil),
				&corev1.Pod{ObjectMeta: meta, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
					State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no such image"}}}}}},
				&corev1.Event{ObjectMeta: meta, InvolvedObject: corev1.ObjectReference{Name: "tm-1"}, Reason: "Failed", Message: "no such image"})
			var err error
			if tt.old == nil {
				err = o.Install(t.Context())
			} else {
				err = o.Upgrade(t.Context(), tt.old)
			}
			if message(err) != tt.wantErr {
				t.Errorf("error %q, want %q", message(err), tt.wantErr)
			}
			if out, errOut := printed(); out != tt.out || errOut != tt.errOut || rel.changed != tt.changed {
				t.Errorf("did %q, printed %q and %q", rel.changed, out, errOut)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
