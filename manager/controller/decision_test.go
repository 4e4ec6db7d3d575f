package controller

import (
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// TestState: Active is said when nothing is left to do, not while a pod that is
// being replaced is away.
func TestState(t *testing.T) {
	for name, c := range map[string]struct {
		p    progress
		want v1alpha1.InterceptState
	}{
		"all":       {progress{pods: 2, serving: 2, active: 2}, v1alpha1.StateActive},
		"verifying": {progress{pods: 2, serving: 2, active: 1}, v1alpha1.StateWaiting},
		"attaching": {progress{pods: 2, serving: 1, active: 1}, v1alpha1.StateWaiting},
		"replacing": {progress{pods: 1, serving: 1, active: 1, problem: problem.New(v1alpha1.ReasonReplacing, "replacing pods")}, v1alpha1.StateWaiting},
		"failed":    {progress{pods: 1, serving: 1, active: 1, problem: problem.New(v1alpha1.ReasonImagePull, "no image")}, v1alpha1.StateError},
		"nothing":   {progress{}, v1alpha1.StateWaiting},
	} {
		ic := intercept("alice", time.Now())
		(&decision{connected: true, progress: c.p}).write(&ic.Status)
		if ic.Status.State != c.want {
			t.Errorf("%s: %s, want %s", name, ic.Status.State, c.want)
		}
		(&decision{progress: c.p}).write(&ic.Status)
		if ic.Status.State == v1alpha1.StateActive {
			t.Errorf("%s: active without a laptop", name)
		}
	}
}
