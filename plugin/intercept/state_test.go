package intercept

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func TestStateOf(t *testing.T) {
	type conditions = []metav1.Condition
	no := func(kind, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: "because " + reason}
	}
	yes := func(kind string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind}
	}
	resolved, agents, active := v1alpha1.ConditionResolved, v1alpha1.ConditionAgentsReady, v1alpha1.ConditionActive
	for name, test := range map[string]struct {
		conditions conditions
		step       string
		done       bool
		err        string
	}{
		"nothing yet":          {nil, "", false, ""},
		"resolved":             {conditions{yes(resolved)}, "attaching to 3 pods", false, ""},
		"attaching":            {conditions{yes(resolved), no(agents, "Attaching")}, "attaching to 3 pods", false, ""},
		"no pods":              {conditions{yes(resolved), no(agents, "NoPods")}, "because NoPods", false, ""},
		"agent fails, for now": {conditions{yes(resolved), no(agents, "AgentFailed")}, "because AgentFailed", false, ""},
		"attached":             {conditions{yes(resolved), yes(agents), no(active, "Verifying")}, "verifying", false, ""},
		"verifying":            {conditions{yes(resolved), no(agents, "Verifying"), yes(active)}, "verifying", false, ""},
		"not connected":        {conditions{yes(resolved), yes(agents), no(active, "LaptopDisconnected")}, "waiting for the connection of this machine", false, ""},
		"host network":         {conditions{no(resolved, "HostNetwork")}, "", false, "because HostNetwork"},
		"active":               {conditions{yes(resolved), yes(agents), yes(active)}, "", true, ""},
		"active in some pods":  {conditions{yes(resolved), no(agents, "Attaching"), yes(active)}, "attaching to 3 pods", false, ""},
		"session not seen yet": {conditions{no(resolved, "SessionNotFound")}, "", false, ""},
		"no workload":          {conditions{no(resolved, "WorkloadNotFound")}, "", false, "because WorkloadNotFound"},
		"port taken":           {conditions{no(resolved, "PortTaken"), yes(agents), yes(active)}, "", false, "because PortTaken"},
		"replacing":            {conditions{yes(resolved), no(agents, "Replacing")}, "because Replacing", false, ""},
		"quota":                {conditions{yes(resolved), no(agents, "QuotaExceeded")}, "", false, "because QuotaExceeded"},
		"pod security":         {conditions{yes(resolved), no(agents, "PodSecurity")}, "", false, "because PodSecurity"},
	} {
		i := &v1alpha1.Intercept{}
		i.Generation, i.Status.ObservedGeneration, i.Status.Conditions = 2, 2, test.conditions
		step, done, err := stateOf(i, 3)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if step != test.step || done != test.done || got != test.err {
			t.Errorf("%s: %q, %v, %q", name, step, done, got)
		}
		i.Status.ObservedGeneration = 1
		if step, done, err := stateOf(i, 3); step != "" || done || err != nil {
			t.Errorf("%s, of a former generation: %q, %v, %v", name, step, done, err)
		}
	}
}

// TestGist: what keeps things is said once, in whatever words it fails again.
func TestGist(t *testing.T) {
	for step, want := range map[string]string{
		"verifying": "verifying",
		"pod quote-1: the image i cannot be pulled: dial tcp 10.0.0.1:53: i/o timeout": "pod quote-1: the image i cannot be pulled",
		"pod quote-2: the agent ended": "pod quote-2: the agent ended",
	} {
		if got := gist(step); got != want {
			t.Errorf("%s: %q", step, got)
		}
	}
}
