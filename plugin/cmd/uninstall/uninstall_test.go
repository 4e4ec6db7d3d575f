package uninstall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// now is when ages are told.
func now() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// releases is a namespace with at most one release, whose uninstall takes the
// Deployment along.
type releases struct {
	there  *helm.Release
	kube   *kubefake.Clientset
	done   bool
	crds   bool // they are deleted
	noCRDs bool
	fails  error
}

func (r *releases) Get(context.Context) (*helm.Release, error) {
	if r.there == nil {
		return nil, fmt.Errorf("traffic-manager is %w in namespace intercept-system", helm.ErrNotInstalled)
	}
	return r.there, nil
}

func (r *releases) Uninstall(ctx context.Context, _ time.Duration, _ bool) (*helm.Release, error) {
	r.done = true
	if r.fails != nil {
		return nil, r.fails
	}
	err := r.kube.AppsV1().Deployments("intercept-system").Delete(ctx, "traffic-manager", metav1.DeleteOptions{})
	return &helm.Release{Kept: []string{"CustomResourceDefinition/intercepts.kubectl-intercept.dev"}}, err
}

func (r *releases) DeleteCRDs(context.Context) ([]string, error) {
	if r.noCRDs {
		return nil, nil
	}
	r.crds = true
	return []string{"intercepts.kubectl-intercept.dev", "sessions.kubectl-intercept.dev"}, nil
}

func (r *releases) Command(verb string) string { return "kubectl intercept " + verb }

func intercept(namespace, name, user string, finalizers ...string) *v1alpha1.Intercept {
	return &v1alpha1.Intercept{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Finalizers: finalizers,
			CreationTimestamp: metav1.NewTime(now().Add(-3 * time.Minute))},
		Spec: v1alpha1.InterceptSpec{User: user, Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name}},
	}
}

func refusing(i *v1alpha1.Intercept) *v1alpha1.Intercept {
	i.Spec.NoFallback = true
	return i
}

func in(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// manager is the Deployment of a traffic-manager.
func manager(namespace string, ready int32) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: in(namespace, "traffic-manager"), Status: appsv1.DeploymentStatus{ReadyReplicas: ready}}
	d.Labels = map[string]string{"app.kubernetes.io/name": "traffic-manager", "app.kubernetes.io/part-of": "kubectl-intercept"}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "traffic-manager"}}
	return d
}

// withAgent is a pod with an agent that runs, or has ended.
func withAgent(namespace, name string, runs bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: in(namespace, name)}
	c := corev1.ContainerStatus{Name: "traffic-agent-2"}
	if runs {
		c.State.Running = &corev1.ContainerStateRunning{}
	} else {
		c.State.Terminated = &corev1.ContainerStateTerminated{}
	}
	p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{c}
	return p
}

// says is what a traffic-manager in another namespace says of itself.
func says(namespace, namespaces string) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{ObjectMeta: in(namespace, "traffic-manager"), Data: map[string]string{"namespaces": namespaces}}
	cm.Labels = map[string]string{"app.kubernetes.io/name": "traffic-manager", "app.kubernetes.io/part-of": "kubectl-intercept"}
	return cm
}

// remains are what stays of an installation whose namespace was deleted, and an
// object of another one.
func remains() []client.Object {
	labels := func(namespace string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: "traffic-manager-" + namespace, Labels: map[string]string{
			"app.kubernetes.io/part-of": "kubectl-intercept", "kubectl-intercept.dev/manager-namespace": namespace}}
	}
	byHelm := metav1.ObjectMeta{Name: "traffic-manager-intercept-system", Labels: map[string]string{"app.kubernetes.io/part-of": "kubectl-intercept"},
		Annotations: map[string]string{"meta.helm.sh/release-namespace": "intercept-system"}}
	return []client.Object{&rbacv1.ClusterRole{ObjectMeta: labels("intercept-system")}, &rbacv1.ClusterRoleBinding{ObjectMeta: byHelm},
		&rbacv1.ClusterRole{ObjectMeta: labels("team-b")}}
}

const (
	manifest = "---\n# Source: x\nkind: Deployment\nmetadata: {name: traffic-manager}\n---\nkind: CustomResourceDefinition\nmetadata: " +
		"{name: intercepts.kubectl-intercept.dev, annotations: {helm.sh/resource-policy: keep}}\n"
	uninstalling = "Uninstalling traffic-manager 0.1.0 from namespace intercept-system\n"
	kept         = "Kept: namespace intercept-system, customresourcedefinition intercepts.kubectl-intercept.dev\n"
	done         = "traffic-manager 0.1.0 uninstalled from namespace intercept-system\n"
	deletedCRDs  = "Deleted: customresourcedefinition intercepts.kubectl-intercept.dev, customresourcedefinition sessions.kubectl-intercept.dev\n"
	// ours is the traffic-manager's finalizer.
	ours = "kubectl-intercept.dev/redirect"
)

func TestRun(t *testing.T) {
	installed := &helm.Release{Name: "traffic-manager", Version: "0.1.0", Namespace: "intercept-system", Manifest: manifest}
	namespaced := *installed
	namespaced.Namespaces = []string{"shop"}
	byFlux := *installed
	byFlux.Labels = map[string]string{"helm.toolkit.fluxcd.io/name": "tm", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
	const inUse = `2 intercepts would end with it:
NAMESPACE   NAME    USER    WORKLOAD           AGE
blog        web     bob     deployment/web     3m
shop        quote   alice   deployment/quote   3m
kubectl intercept uninstall --force ends them`
	two := []client.Object{intercept("blog", "web", "bob"), intercept("shop", "quote", "alice")}
	const (
		leftover = "Deleted: clusterrolebinding traffic-manager-intercept-system, clusterrole traffic-manager-intercept-system\n"
		gone     = "what was left of traffic-manager in namespace intercept-system is removed\n"
		cannot   = "The traffic-manager does not run, so it cannot end "
		first    = "; it is removed first\n"
	)
	for _, tt := range []struct {
		name                 string
		there                *helm.Release
		intercepts           []client.Object
		remains              []client.Object
		others               []runtime.Object
		force, deleteCRDs    bool
		dryRun               bool
		noCRDs               bool  // the cluster has no definitions
		dead                 bool  // the manager has no ready replica
		fails                error // what Helm says
		out, errOut, wantErr string
	}{
		{name: "quiet", there: installed, out: done, errOut: uninstalling + kept},
		{name: "absent", wantErr: "traffic-manager is not installed in namespace intercept-system"},
		{name: "in use", there: installed, intercepts: two, wantErr: inUse},
		{name: "in use elsewhere", there: &namespaced, intercepts: []client.Object{intercept("blog", "web", "bob")},
			out: done, errOut: uninstalling + kept},
		{name: "forced", there: installed, force: true, intercepts: []client.Object{intercept("shop", "quote", "alice")},
			out: done, errOut: "Ending 1 intercept: shop/quote\n" + uninstalling + kept},
		{name: "forced, manager dead", there: installed, force: true, dead: true,
			intercepts: []client.Object{intercept("shop", "quote", "alice", ours)},
			out:        done, errOut: "Ending 1 intercept: shop/quote\n" +
				"The traffic-manager does not run, so it cannot end shop/quote; it is removed first\n" + uninstalling +
				"Releasing shop/quote in place of the traffic-manager\n" + kept},
		{name: "forced, manager dead, no fallback", there: installed, force: true, dead: true,
			intercepts: []client.Object{refusing(intercept("shop", "quote", "alice", ours))},
			out:        done, errOut: "Ending 1 intercept: shop/quote\n" +
				"The traffic-manager does not run, so it cannot end shop/quote; it is removed first\n" + uninstalling +
				"Releasing shop/quote in place of the traffic-manager\n" +
				"Warning: shop/quote was made with --no-fallback, and no traffic-manager could end it: " +
				"callers are refused until the pods of deployment/quote are replaced\n" + kept},
		{name: "forced, manager stuck", there: installed, force: true, intercepts: []client.Object{intercept("shop", "quote", "alice", ours)},
			out: done, errOut: "Ending 1 intercept: shop/quote\nwaiting for intercepts to end: shop/quote\n" +
				"The traffic-manager has not ended shop/quote after 50ms; it is removed first\n" + uninstalling +
				"Releasing shop/quote in place of the traffic-manager\n" + kept},
		{name: "forced, held by others", there: installed, force: true, dead: true,
			intercepts: []client.Object{intercept("shop", "quote", "alice", ours, "example.com/hold")},
			out:        done, errOut: "Ending 1 intercept: shop/quote\n" +
				"The traffic-manager does not run, so it cannot end shop/quote; it is removed first\n" + uninstalling +
				"Releasing shop/quote in place of the traffic-manager\n" +
				"Warning: intercept shop/quote stays until others take off example.com/hold\n" + kept},
		{name: "flux", there: &byFlux, wantErr: "traffic-manager in namespace intercept-system is managed by " +
			"Flux, helmrelease flux-system/tm: change it there, or it will be changed back; --force goes on"},
		{name: "flux, forced", there: &byFlux, force: true, out: done, errOut: uninstalling + kept},
		{name: "agents stay", there: &namespaced, out: done,
			others: []runtime.Object{withAgent("shop", "quote-1", true), withAgent("shop", "quote-2", false), withAgent("blog", "web-1", true)},
			errOut: uninstalling + "Idle agents stay until these pods are replaced: shop/quote-1\n" +
				"The ephemeral containers of agents that have ended stay listed until their pods are replaced: shop/quote-2\n" + kept},
		{name: "not gone", there: installed, fails: fmt.Errorf("traffic-manager %w after 50ms", helm.ErrNotGone),
			others: []runtime.Object{&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "tm-1",
				Labels: map[string]string{"app.kubernetes.io/name": "traffic-manager"}, DeletionTimestamp: &metav1.Time{Time: now()}}}},
			force: true, dead: true, intercepts: []client.Object{intercept("shop", "quote", "alice", ours)},
			errOut: "Ending 1 intercept: shop/quote\n" +
				"The traffic-manager does not run, so it cannot end shop/quote; it is removed first\n" + uninstalling +
				"Releasing shop/quote in place of the traffic-manager\n",
			wantErr: "traffic-manager is not gone after 50ms\npod/tm-1: ending"},
		{name: "definitions too", there: installed, deleteCRDs: true, out: done, errOut: uninstalling + deletedCRDs + "Kept: namespace intercept-system\n"},
		{name: "only definitions", deleteCRDs: true, errOut: deletedCRDs},
		{name: "nothing at all", deleteCRDs: true, noCRDs: true,
			wantErr: "traffic-manager is not installed in namespace intercept-system, and there are no definitions"},
		// Its namespace was deleted, and Helm's record with it.
		{name: "remains", remains: remains(), out: gone, errOut: leftover},
		{name: "remains in use", remains: remains(), intercepts: two, wantErr: inUse},
		{name: "remains in use, forced", remains: remains(), force: true, intercepts: []client.Object{intercept("shop", "quote", "alice", ours)},
			out:    gone,
			errOut: "Ending 1 intercept: shop/quote\n" + cannot + "shop/quote" + first + leftover + "Releasing shop/quote in place of the traffic-manager\n"},
		{name: "only an intercept, forced", force: true, intercepts: []client.Object{intercept("shop", "quote", "alice", ours)},
			out:    gone,
			errOut: "Ending 1 intercept: shop/quote\n" + cannot + "shop/quote" + first + "Releasing shop/quote in place of the traffic-manager\n"},
		{name: "remains and definitions", remains: remains(), deleteCRDs: true, out: gone, errOut: leftover + deletedCRDs},
		{name: "by hand", others: []runtime.Object{manager("intercept-system", 1)}, remains: remains(),
			wantErr: "traffic-manager is not installed in namespace intercept-system by Helm, but deployment traffic-manager is there: " +
				"delete it where it was made, with kubectl delete -f say; this command removes what stays then"},
		// Another one works there.
		{name: "beside one for all", there: installed, intercepts: two, others: []runtime.Object{says("team-b", ""), withAgent("shop", "quote-1", true)},
			out: done, errOut: uninstalling + kept},
		{name: "beside one for some", there: installed, intercepts: []client.Object{intercept("blog", "web", "bob")},
			others: []runtime.Object{says("team-b", "blog"), withAgent("blog", "web-1", true), withAgent("shop", "quote-1", true)},
			out:    done, errOut: uninstalling + "Idle agents stay until these pods are replaced: shop/quote-1\n" + kept},
		{name: "dry run", there: installed, dryRun: true, others: []runtime.Object{withAgent("shop", "quote-1", true)},
			out: "traffic-manager 0.1.0 would be uninstalled from namespace intercept-system (dry run)\n",
			errOut: "Would remove the agents of: shop/quote-1\nWould delete: deployment traffic-manager\n" +
				"Would keep: namespace intercept-system, customresourcedefinition intercepts.kubectl-intercept.dev\n"},
		{name: "dry run, forced, definitions too", there: installed, dryRun: true, force: true, deleteCRDs: true, intercepts: two,
			out: "traffic-manager 0.1.0 would be uninstalled from namespace intercept-system (dry run)\n",
			errOut: "Would end: blog/web, shop/quote\nWould delete: deployment traffic-manager, customresourcedefinition intercepts.kubectl-intercept.dev\n" +
				"Would keep: namespace intercept-system\n"},
		{name: "dry run, in use", there: installed, dryRun: true, intercepts: two, wantErr: inUse},
		{name: "dry run, remains", remains: remains(), dryRun: true,
			out: "what is left of traffic-manager would be uninstalled from namespace intercept-system (dry run)\n",
			errOut: "Would delete: clusterrolebinding traffic-manager-intercept-system, clusterrole traffic-manager-intercept-system\n" +
				"Would keep: namespace intercept-system\n"},
		// They end with the definitions, whoever served them.
		{name: "definitions in use elsewhere", there: &namespaced, deleteCRDs: true, intercepts: two, wantErr: inUse},
		{name: "definitions of two", there: installed, deleteCRDs: true, force: true, intercepts: two, others: []runtime.Object{manager("team-b", 1)},
			wantErr: "--delete-crds would end the traffic-manager in namespace team-b too: uninstall that one first"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scheme, err := kube.Scheme()
			if err != nil {
				t.Fatal(err)
			}
			session := &v1alpha1.Session{ObjectMeta: in("intercept-system", "alice-1")}
			other := &v1alpha1.Session{ObjectMeta: in("other", "bob-1")}
			objects := fake.NewClientBuilder().WithScheme(scheme).WithObjects(session, other)
			for _, i := range append(tt.intercepts, tt.remains...) {
				objects.WithObjects(i.DeepCopyObject().(client.Object))
			}
			ready := int32(1)
			if tt.dead {
				ready = 0
			}
			made := &corev1.Secret{ObjectMeta: in("intercept-system", "traffic-manager-tls")}
			made.Labels = map[string]string{"app.kubernetes.io/managed-by": "traffic-manager"}
			clients := kubefake.NewClientset(append(tt.others, made, &corev1.Secret{ObjectMeta: in("intercept-system", "traffic-manager-license")},
				&coordinationv1.Lease{ObjectMeta: in("intercept-system", "traffic-manager-leader")},
				&coordinationv1.Lease{ObjectMeta: in("intercept-system", "unrelated")})...)
			if tt.there != nil {
				if err := clients.Tracker().Add(manager("intercept-system", ready)); err != nil {
					t.Fatal(err)
				}
			}
			streams, _, out, errOut := genericiooptions.NewTestIOStreams()
			rel := &releases{there: tt.there, kube: clients, fails: tt.fails, noCRDs: tt.noCRDs}
			o := &Options{
				IOStreams: streams, Namespace: "intercept-system", Force: tt.force, DeleteCRDs: tt.deleteCRDs, DryRun: tt.dryRun, Wait: true,
				Timeout: 50 * time.Millisecond, Interval: time.Millisecond, Now: now,
				Releases: rel, Client: objects.Build(), Kube: clients,
			}
			err = o.Run(t.Context())
			if got := message(err); got != tt.wantErr {
				t.Errorf("error\n%s\nwant\n%s", got, tt.wantErr)
			}
			if out.String() != tt.out || errOut.String() != tt.errOut {
				t.Errorf("printed %q and\n%s\nwant\n%s", out, errOut, tt.errOut)
			}
			if fine := tt.wantErr == ""; rel.done != (tt.there != nil && tt.wantErr == "" && !tt.dryRun || tt.fails != nil) || rel.crds != (tt.deleteCRDs && fine && !tt.dryRun) {
				t.Errorf("uninstalled: %t, definitions deleted: %t", rel.done, rel.crds)
			}
			if rel.done {
				checkGone(t, o.Client, clients)
			}
			if left, err := target.Remains(t.Context(), o.Client, "intercept-system"); tt.out == gone && (err != nil || len(left) > 0) {
				t.Errorf("%v, left: %v", err, left)
			}
		})
	}
}

// checkGone looks that the manager's own things are gone, and nothing else.
func checkGone(t *testing.T, objects client.Client, clients *kubefake.Clientset) {
	t.Helper()
	var sessions v1alpha1.SessionList
	secrets, err1 := clients.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
	leases, err2 := clients.CoordinationV1().Leases("").List(t.Context(), metav1.ListOptions{})
	if err := errors.Join(objects.List(t.Context(), &sessions), err1, err2); err != nil {
		t.Fatal(err)
	}
	var intercepts v1alpha1.InterceptList
	if err := objects.List(t.Context(), &intercepts); err != nil {
		t.Fatal(err)
	}
	for _, i := range intercepts.Items {
		if slices.Contains(i.Finalizers, ours) {
			t.Errorf("intercept %s/%s waits for nobody", i.Namespace, i.Name)
		}
	}
	if len(sessions.Items) != 1 || sessions.Items[0].Name != "bob-1" {
		t.Errorf("sessions left: %v", sessions.Items)
	}
	if len(secrets.Items) != 1 || secrets.Items[0].Name != "traffic-manager-license" || len(leases.Items) != 1 || leases.Items[0].Name != "unrelated" {
		t.Errorf("left: %d secrets, %d leases", len(secrets.Items), len(leases.Items))
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
