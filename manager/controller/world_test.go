package controller

import (
	"context"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// world is a shop as the reconcilers see it.
type world struct {
	*shoptest.Shop
	ics *Intercepts
	ses *Sessions
}

const system = "intercept-system"

// clusterNetwork is what Sessions are told.
func clusterNetwork() *v1alpha1.SessionNetwork {
	return &v1alpha1.SessionNetwork{ClusterDomain: "cluster.local", ServiceCIDRs: []string{"10.96.0.0/16"}}
}

func newWorld(t *testing.T, funcs interceptor.Funcs, more ...client.Object) *world {
	t.Helper()
	more = append(more, session("alice", true, time.Now()), session("bob", true, time.Now()))
	shop := shoptest.New(t, replacement.Index, funcs, more...)
	authority, err := pki.Load(context.Background(), shop, system, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	return &world{Shop: shop,
		ics: &Intercepts{Client: shop, Live: shop, Namespace: system, HasWebhook: true, Policy: inject.OnDemand, Mesh: Mesh{Client: shop}, Events: events.NewFakeRecorder(100), Log: log,
			Agents:   &EphemeralAgents{Client: shop, Authority: authority, Config: func() inject.Config { return inject.Config{} }, Log: log},
			Replacer: &replacement.Replacer{Cluster: replacement.Cluster{Client: shop, Live: shop, Log: log}}},
		ses: &Sessions{Client: shop, Namespace: system, Network: clusterNetwork, Identity: &judge{}, Log: log}}
}

// useClient has the reconciler use another client.
func (w *world) useClient(c client.Client) {
	w.ics.Client, w.ics.Agents.Client, w.ics.Replacer.Client = c, c, c
}

// session is a user's Session, connected or not since a time.
func session(user string, connected bool, since time.Time) *v1alpha1.Session {
	s := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: user}, Spec: v1alpha1.SessionSpec{User: user}}
	status := metav1.ConditionFalse
	if connected {
		status = metav1.ConditionTrue
		s.Status.Relays = []v1alpha1.Relay{{Pod: "traffic-manager-1", Address: "10.0.0.9:17843"}}
	}
	s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionConnected, Status: status, Reason: "x",
		LastTransitionTime: metav1.NewTime(since)}}
	return s
}

// intercept is a user's claim on port http of quote, made at a time.
func intercept(user string, at time.Time) *v1alpha1.Intercept { return shoptest.Intercept(user, at) }

// reconcile reconciles an Intercept once and returns it as it is then.
func (w *world) reconcile(user string) *v1alpha1.Intercept {
	w.T.Helper()
	key := types.NamespacedName{Namespace: "shop", Name: "quote-" + user}
	if _, err := w.ics.Reconcile(context.Background(), ctrl.Request{NamespacedName: key}); err != nil {
		w.T.Fatal(err)
	}
	var ic v1alpha1.Intercept
	if err := w.Get(context.Background(), key, &ic); err != nil {
		w.T.Fatal(err)
	}
	return &ic
}

// reports is what agents would have written.
func (w *world) reports(ic *v1alpha1.Intercept, pods ...v1alpha1.PodStatus) {
	w.T.Helper()
	ic.Status.Pods = pods
	if err := w.Status().Update(context.Background(), ic); err != nil {
		w.T.Fatal(err)
	}
}

// agentSays is what the agent of a pod says of port 8080.
func agentSays(pod string, state v1alpha1.PodState) v1alpha1.PodStatus {
	return v1alpha1.PodStatus{Name: pod, State: state, Ports: []v1alpha1.PodPort{{Port: 8080, Protocol: corev1.ProtocolTCP, State: state}}}
}

// connected has a laptop connect, or go away, at a time.
func (w *world) connected(user string, connected bool, since time.Time) {
	w.T.Helper()
	var s v1alpha1.Session
	if err := w.Get(context.Background(), client.ObjectKey{Namespace: system, Name: user}, &s); err != nil {
		w.T.Fatal(err)
	}
	s.Status = session(user, connected, since).Status
	if err := w.Status().Update(context.Background(), &s); err != nil {
		w.T.Fatal(err)
	}
}

func condition(ic *v1alpha1.Intercept, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(ic.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}
