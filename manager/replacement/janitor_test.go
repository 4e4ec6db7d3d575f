package replacement

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// TestJanitor: an orphan of an intercept that is gone is adopted again, and a sidecar
// that no Intercept needs is taken out when it was idle for long enough.
func TestJanitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.Orphan("gone")
		j := &Janitor{Replacer: s.replacer, MaxIdle: time.Minute}
		s.Must(j.Tidy(t.Context(), time.Now()))
		if l := s.Pod("quote-1").Labels; l["hash"] != "a" || l[orphan.Label] != "" {
			t.Errorf("labels %v", l)
		}
		s.Made("quote-2", func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		})
		s.Must(j.Tidy(t.Context(), time.Now()))
		time.Sleep(30 * time.Second)
		s.Must(j.Tidy(t.Context(), time.Now()))
		if l := s.Pod("quote-2").Labels; l[orphan.Label] != "" {
			t.Errorf("it goes too soon: %v", l)
		}
		time.Sleep(30 * time.Second)
		s.Must(j.Tidy(t.Context(), time.Now()))
		if l := s.Pod("quote-2").Labels; l[orphan.Label] != orphan.Leaving {
			t.Errorf("it stays: %v", l)
		}
	})
}

// TestJanitorKeepsPods: a pod whose eviction is denied is left alone for a while.
func TestJanitorKeepsPods(t *testing.T) {
	tries := 0
	deny := interceptor.Funcs{SubResourceCreate: func(context.Context, client.Client, string, client.Object, client.Object, ...client.SubResourceCreateOption) error {
		tries++
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusBadRequest, Message: `admission webhook "keep.pods" denied the request: no`}}
	}}
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.replacer.Client = interceptor.NewClient(s, deny)
		s.Made("quote-2", shoptest.ComesUp)
		s.Must(s.Delete(t.Context(), s.Pod("quote-1")))
		j := &Janitor{Replacer: s.replacer, MaxIdle: time.Nanosecond}
		for range 3 {
			time.Sleep(2 * settleTime)
			s.Must(j.Tidy(t.Context(), time.Now()))
		}
		if l := s.Pod("quote-2").Labels; l[orphan.Label] != "" || l["hash"] != "a" || len(j.kept) != 1 || tries != 1 {
			t.Errorf("labels %v, kept %v, %d tries", l, j.kept, tries)
		}
		time.Sleep(2 * firstRetry)
		s.Must(j.Tidy(t.Context(), time.Now()))
		if tries != 2 {
			t.Errorf("%d tries after a while", tries)
		}
	})
}

// TestJanitorEvictsWhatDoesNotComeUp: a pod whose sidecar's image cannot be pulled is
// evicted at once when its Intercept is gone, without waiting for a successor.
func TestJanitorEvictsWhatDoesNotComeUp(t *testing.T) {
	s := newShop(t)
	s.Made("quote-2", func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "traffic-agent",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
	})
	s.Must((&Janitor{Replacer: s.replacer}).Tidy(t.Context(), time.Now()))
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-2"}, &corev1.Pod{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod is there: %v", err)
	}
}

// TestJanitorReadopts: the intercept is there, and there is no replacing any
// more.
func TestJanitorReadopts(t *testing.T) {
	for name, c := range map[string]struct {
		resolved metav1.ConditionStatus
		mode     v1alpha1.InjectMode
		back     bool
	}{
		"wanted":         {metav1.ConditionTrue, v1alpha1.InjectSidecar, false},
		"not resolved":   {metav1.ConditionFalse, v1alpha1.InjectSidecar, true},
		"ephemeral":      {metav1.ConditionTrue, v1alpha1.InjectEphemeral, true},
		"sidecar failed": {metav1.ConditionTrue, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			ic := shoptest.Intercept("alice", time.Now())
			s := newShop(t, ic)
			s.Orphan("alice")
			ic.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionResolved, Status: c.resolved, Reason: "x"}}
			ic.Status.Injection = c.mode
			s.Must(s.Status().Update(t.Context(), ic))
			s.Must((&Janitor{Replacer: s.replacer}).Tidy(t.Context(), time.Now()))
			if l := s.Pod("quote-1").Labels; (l["hash"] == "a") != c.back || (l[orphan.Label] == "") != c.back {
				t.Errorf("labels %v", l)
			}
		})
	}
}
