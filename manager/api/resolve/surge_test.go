package resolve

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestRolloutSurges holds what a Rollout's strategy says; Deployments' are held by
// package controller.
func TestRolloutSurges(t *testing.T) {
	for name, tt := range map[string]struct {
		strategy map[string]any
		want     bool
	}{
		"none":           {nil, true},
		"default":        {map[string]any{"canary": map[string]any{}}, true},
		"one":            {map[string]any{"canary": map[string]any{"maxSurge": int64(1)}}, true},
		"a share":        {map[string]any{"canary": map[string]any{"maxSurge": "25%"}}, true},
		"zero":           {map[string]any{"canary": map[string]any{"maxSurge": int64(0)}}, false},
		"no share":       {map[string]any{"canary": map[string]any{"maxSurge": "0%"}}, false},
		"blue and green": {map[string]any{"blueGreen": map[string]any{}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"strategy": tt.strategy}}}
			if got := rolloutSurges(u); got != tt.want {
				t.Errorf("%t", got)
			}
		})
	}
}

// TestOnDelete holds whose pods only people delete.
func TestOnDelete(t *testing.T) {
	for name, tt := range map[string]struct {
		obj  client.Object
		want string
	}{
		"StatefulSet":         {&appsv1.StatefulSet{}, ""},
		"StatefulSet by hand": {&appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}}}, "kubectl delete pod x-1 -n shop"},
		"DaemonSet":           {&appsv1.DaemonSet{}, ""},
		"DaemonSet by hand":   {&appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}}}, "kubectl delete pod x-1 -n shop"},
		"Deployment":          {&appsv1.Deployment{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tt.obj.SetNamespace("shop")
			w, err := From(tt.obj)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.ByHand("x-1"); (got == "") != (tt.want == "") || !strings.HasSuffix(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
