package controller

import (
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// TestJudge: Active is said when nothing is left to do, not while a pod that is
// being replaced is away.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		a    attached
		want v1alpha1.InterceptState
	}{
		"all":       {attached{pods: 2, serving: 2, active: 2}, v1alpha1.StateActive},
		"verifying": {attached{pods: 2, serving: 2, active: 1}, v1alpha1.StateWaiting},
		"attaching": {attached{pods: 2, serving: 1, active: 1}, v1alpha1.StateWaiting},
		"replacing": {attached{pods: 1, serving: 1, active: 1, problem: wait("replacing pods")}, v1alpha1.StateWaiting},
		"failed":    {attached{pods: 1, serving: 1, active: 1, problem: &problem{v1alpha1.ReasonImagePull, "no image"}}, v1alpha1.StateError},
		"nothing":   {attached{}, v1alpha1.StateWaiting},
	} {
		ic, s := intercept("alice", time.Now()), session("alice", true, time.Now())
		judge(ic, s, c.a)
		if ic.Status.State != c.want {
			t.Errorf("%s: %s, want %s", name, ic.Status.State, c.want)
		}
		judge(ic, session("alice", false, time.Now()), c.a)
		if ic.Status.State == v1alpha1.StateActive {
			t.Errorf("%s: active without a laptop", name)
		}
	}
}
