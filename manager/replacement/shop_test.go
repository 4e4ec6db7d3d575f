package replacement

import (
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// shop is a cluster whose pod is ready, and a Replacer for it.
type shop struct {
	*shoptest.Shop
	replacer *Replacer
}

func newShop(t *testing.T, more ...client.Object) *shop {
	t.Helper()
	s := shoptest.New(t, Index, interceptor.Funcs{}, more...)
	s.Ready()
	return &shop{s, &Replacer{Cluster: Cluster{Client: s, Live: s, Log: slog.New(slog.DiscardHandler)}}}
}

// task is what alice's Intercept wants now.
func (s *shop) task() Task {
	s.T.Helper()
	ic := shoptest.Intercept("alice", time.Time{})
	w, err := resolve.Get(s.T.Context(), s, "shop", ic.Spec.Workload)
	s.Must(err)
	pods, err := w.Pods(s.T.Context(), s)
	s.Must(err)
	t := Task{Intercept: ic, Workload: w, Pods: pods, Ports: []v1alpha1.ResolvedPort{
		{Service: "quote", ContainerPort: 8080, ContainerPortName: "http", Protocol: corev1.ProtocolTCP}}}
	for i := range pods {
		if !t.covered(&pods[i]) {
			t.Bare = append(t.Bare, &pods[i])
		}
	}
	return t
}
