package controller

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Agents count all the time, which leads to no reconciliation. What agents say of a pod
// leads to one of the Intercept itself, and not to those of all others.
func TestWhatIsReconciled(t *testing.T) {
	for name, tt := range map[string]struct {
		change       func(*v1alpha1.Intercept)
		only, others bool
	}{
		"nothing": {func(ic *v1alpha1.Intercept) { ic.ResourceVersion = "2" }, true, false},
		"counters": {func(ic *v1alpha1.Intercept) {
			ic.Status.Connections, ic.Status.Requests = 1, 2
			ic.Status.Pods[0].Connections, ic.Status.Pods[0].Ports[0].LastRequest = 1, &metav1.Time{Time: time.Now()}
		}, true, false},
		"a pod":        {func(ic *v1alpha1.Intercept) { ic.Status.Pods[0].State = v1alpha1.PodError }, false, false},
		"a port":       {func(ic *v1alpha1.Intercept) { ic.Status.Pods[0].Ports[0].State = v1alpha1.PodError }, false, false},
		"a message":    {func(ic *v1alpha1.Intercept) { ic.Status.Message = "x" }, false, false},
		"the URL":      {func(ic *v1alpha1.Intercept) { ic.Status.Preview = &v1alpha1.PreviewStatus{URL: "x"} }, false, false},
		"the spec":     {func(ic *v1alpha1.Intercept) { ic.Spec.Match = &v1alpha1.Match{} }, false, true},
		"it ends":      {func(ic *v1alpha1.Intercept) { ic.DeletionTimestamp = &metav1.Time{Time: time.Now()} }, false, true},
		"its ports":    {func(ic *v1alpha1.Intercept) { ic.Status.Ports = nil }, false, true},
		"its mode":     {func(ic *v1alpha1.Intercept) { ic.Status.Mode = v1alpha1.ModePersonal }, false, true},
		"it has them":  {conditionIs(v1alpha1.ConditionResolved, metav1.ConditionTrue, "x"), false, true},
		"it is active": {conditionIs(v1alpha1.ConditionActive, metav1.ConditionTrue, "x"), false, true},
		"it is away":   {conditionIs(v1alpha1.ConditionActive, metav1.ConditionFalse, "y"), false, true},
	} {
		before := intercept("alice", time.Now())
		before.Status.Ports = []v1alpha1.ResolvedPort{{ContainerPort: 8080}}
		before.Status.Pods = []v1alpha1.PodStatus{agentSays("quote-1", v1alpha1.PodActive)}
		for _, kind := range []string{v1alpha1.ConditionResolved, v1alpha1.ConditionActive} {
			conditionIs(kind, metav1.ConditionFalse, "x")(before)
		}
		now := before.DeepCopy()
		tt.change(now)
		if only, others := OnlyCounters(before, now), concernsOthers(before, now); only != tt.only || others != tt.others {
			t.Errorf("%s: only counters %t, concerns others %t", name, only, others)
		}
	}
}

func conditionIs(kind string, status metav1.ConditionStatus, reason string) func(*v1alpha1.Intercept) {
	return func(ic *v1alpha1.Intercept) {
		meta.SetStatusCondition(&ic.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason})
	}
}

// The conditions of an Intercept are compiled once, until they change.
func TestCompiledOnce(t *testing.T) {
	var c compiled
	ic := personal("alice", time.Now(), byHeader("a", "b.*"))
	ic.UID = "a"
	first := c.of(ic)
	if c.of(ic.DeepCopy()) != first {
		t.Error("it is compiled again")
	}
	ic.Spec.Match.Headers[0].Regexp = "c.*"
	if c.of(ic) == first {
		t.Error("the old one stays")
	}
	if c.forget(ic); len(c.sets) > 0 {
		t.Error("it is not forgotten")
	}
}
