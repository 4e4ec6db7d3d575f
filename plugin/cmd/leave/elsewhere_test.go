package leave

import (
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// Without a kubeconfig no namespace is guessed.
func TestServedBy(t *testing.T) {
	meant := []session.Known{{Context: "old", Flag: "--context old", Status: &session.Status{Intercepts: []session.StatusIntercept{
		{Namespace: "shop", Name: "quote"}, {Namespace: "dev", Name: "quote"}, {Namespace: "dev", Name: "cart"}}}}}
	for name, test := range map[string]struct {
		o     Options
		ends  int
		wrong string
	}{
		"one of the name":     {Options{Names: []string{"cart"}}, 1, ""},
		"two of the name":     {Options{Names: []string{"quote"}}, 0, "say which with -n shop or -n dev"},
		"its namespace":       {Options{Names: []string{"quote"}, namespace: "dev"}, 1, ""},
		"all of nobody knows": {Options{}, 0, "kubectl intercept leave --all -n NAMESPACE"},
		"all of a namespace":  {Options{namespace: "dev"}, 2, ""},
		"all of all":          {Options{everywhere: true}, 3, ""},
		"none of the name":    {Options{Names: []string{"other"}}, 0, "kubectl intercept status --context old shows"},
	} {
		chosen, err := test.o.servedBy(meant)
		if len(chosen) != test.ends || (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, %v", name, chosen, err)
		}
	}
}
