package intercept

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func intercept(name, user, kind, workload string) v1alpha1.Intercept {
	i := v1alpha1.Intercept{}
	i.Name, i.Namespace = name, "default"
	i.Spec = v1alpha1.InterceptSpec{User: user, Session: user + "-laptop",
		Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: kind, Name: workload}}
	return i
}

func TestNameFor(t *testing.T) {
	quote := v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"}
	mine := intercept("quote", "alice", "Deployment", "quote")
	others := intercept("quote", "bob", "Deployment", "quote")
	second := intercept("quote-alice", "alice", "Deployment", "quote")
	for name, test := range map[string]struct {
		all      []v1alpha1.Intercept
		explicit string
		want     string
		exists   bool
		err      string
	}{
		"first":                    {nil, "", "quote", false, ""},
		"again":                    {[]v1alpha1.Intercept{mine}, "", "quote", true, ""},
		"somebody else's":          {[]v1alpha1.Intercept{others}, "", "quote-alice", false, ""},
		"again beside another":     {[]v1alpha1.Intercept{others, second}, "", "quote-alice", true, ""},
		"again, the other left":    {[]v1alpha1.Intercept{second}, "", "quote-alice", true, ""},
		"both names are others'":   {[]v1alpha1.Intercept{others, intercept("quote-alice", "bob", "Deployment", "x")}, "", "quote-2bd806c9", false, ""},
		"chosen":                   {[]v1alpha1.Intercept{mine}, "mine", "mine", false, ""},
		"chosen again":             {[]v1alpha1.Intercept{mine}, "quote", "quote", true, ""},
		"chosen is somebody's":     {[]v1alpha1.Intercept{others}, "quote", "", false, `intercept "quote" belongs to bob: choose another name with --name`},
		"mine, another workload":   {[]v1alpha1.Intercept{intercept("quote", "alice", "StatefulSet", "quote")}, "", "", false, `you already have an intercept named "quote", of statefulset/quote: choose another name with --name, or run kubectl intercept leave quote -n default`},
		"chosen, another workload": {[]v1alpha1.Intercept{intercept("x", "alice", "StatefulSet", "quote")}, "x", "", false, `you already have an intercept named "x", of statefulset/quote: choose another name with --name, or run kubectl intercept leave x -n default`},
	} {
		t.Run(name, func(t *testing.T) {
			got, existing, err := nameFor(test.all, "alice", test.explicit, quote)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want || (existing != nil) != test.exists {
				t.Errorf("got %q, exists %v", got, existing != nil)
			}
		})
	}
}

func TestClash(t *testing.T) {
	with := func(i v1alpha1.Intercept, protocol string, port int32) v1alpha1.Intercept {
		i.Spec.Ports = []v1alpha1.InterceptPort{{LocalPort: port, Protocol: "TCP"}}
		if protocol == "UDP" {
			i.Spec.Ports[0].Protocol = "UDP"
		}
		return i
	}
	theirs := with(intercept("quote", "alice", "Deployment", "quote"), "TCP", 8080)
	elsewhere := theirs
	elsewhere.Spec.Session = "other-laptop"
	self := with(intercept("store", "alice", "StatefulSet", "store"), "TCP", 8080)
	dry := self
	dry.Spec.Session = dryRunSession
	for name, test := range map[string]struct {
		there, self v1alpha1.Intercept
		clashes     bool
	}{
		"same port":       {theirs, self, true},
		"other port":      {theirs, with(self, "TCP", 8081), false},
		"other protocol":  {theirs, with(self, "UDP", 8080), false},
		"itself":          {theirs, theirs, false},
		"another machine": {elsewhere, self, false},
		"another user":    {with(intercept("quote", "bob", "Deployment", "quote"), "TCP", 8080), self, false},
		"dry run":         {theirs, dry, true},
	} {
		if err := clash([]v1alpha1.Intercept{test.there}, &test.self); (err != nil) != test.clashes {
			t.Errorf("%s: %v", name, err)
		}
	}
}
