package target

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func TestParse(t *testing.T) {
	ref := func(apiVersion, kind string) v1alpha1.WorkloadReference {
		return v1alpha1.WorkloadReference{APIVersion: apiVersion, Kind: kind, Name: "quote"}
	}
	for arg, want := range map[string]v1alpha1.WorkloadReference{
		"quote":                               ref("apps/v1", "Deployment"),
		"deploy/quote":                        ref("apps/v1", "Deployment"),
		"deployments/quote":                   ref("apps/v1", "Deployment"),
		"Deployment/quote":                    ref("apps/v1", "Deployment"),
		"deployment.apps/quote":               ref("apps/v1", "Deployment"),
		"deployments.v1.apps/quote":           ref("apps/v1", "Deployment"),
		"sts/quote":                           ref("apps/v1", "StatefulSet"),
		"statefulset/quote":                   ref("apps/v1", "StatefulSet"),
		"rs/quote":                            ref("apps/v1", "ReplicaSet"),
		"ds/quote":                            ref("apps/v1", "DaemonSet"),
		"daemonsets.apps/quote":               ref("apps/v1", "DaemonSet"),
		"job/quote":                           ref("batch/v1", "Job"),
		"jobs.v1.batch/quote":                 ref("batch/v1", "Job"),
		"po/quote":                            ref("v1", "Pod"),
		"pods/quote":                          ref("v1", "Pod"),
		"svc/quote":                           ref("v1", "Service"),
		"services/quote":                      ref("v1", "Service"),
		"rollout/quote":                       ref("argoproj.io/v1alpha1", "Rollout"),
		"rollouts.argoproj.io/quote":          ref("argoproj.io/v1alpha1", "Rollout"),
		"rollouts.v1alpha1.argoproj.io/quote": ref("argoproj.io/v1alpha1", "Rollout"),
	} {
		got, err := Parse(arg)
		if err != nil {
			t.Errorf("%s: %v", arg, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", arg, d)
		}
	}
	for _, arg := range []string{"", "/", "deploy/", "/quote", "a/b/c", "cj/quote", "jobs.apps/quote", "deployments.batch/quote", "pods.apps/quote"} {
		if got, err := Parse(arg); err == nil {
			t.Errorf("%q is %v", arg, got)
		}
	}
}

func TestNear(t *testing.T) {
	names := []string{"quote", "quote-canary", "store", "cart", "db"}
	for word, want := range map[string][]string{
		"qoute":  {"quote"},
		"quot":   {"quote", "quote-canary"},
		"stor":   {"store"},
		"card":   {"cart"},
		"canary": {"quote-canary"},
		"dbs":    {"db"},
		"zzz":    nil,
		"":       nil,
	} {
		if d := cmp.Diff(want, Near(word, names)); d != "" {
			t.Errorf("%q: %s", word, d)
		}
	}
}
