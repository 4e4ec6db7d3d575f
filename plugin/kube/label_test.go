package kube

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestLabelPart(t *testing.T) {
	for text, want := range map[string]string{
		"alice":                           "alice",
		"Alice.Smith@example.com":         "alice-smith-example-com",
		"system:serviceaccount:ci:runner": "system-serviceaccount-ci-runner",
		"--x--":                           "x",
		"李":                               "otherwise",
		strings.Repeat("a", 39) + "-b":    strings.Repeat("a", 39),
	} {
		got := LabelPart(text, 40, "otherwise")
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
		if problems := validation.IsDNS1123Label(got); len(problems) > 0 {
			t.Errorf("%q: %v", got, problems)
		}
	}
}
