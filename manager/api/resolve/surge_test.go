package resolve

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
