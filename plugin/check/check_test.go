package check_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/check"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/check/checktest"
)

// Checks run at once and are told of in order; one that hangs is given up.
func TestRun(t *testing.T) {
	second, hang := make(chan struct{}), make(chan struct{})
	defer close(hang)
	categories := []check.Category{
		{Name: "a", Checks: []check.Check{
			{Name: "waits for the second", Run: func(context.Context) check.Outcome {
				<-second
				return check.Outcome{Status: check.OK}
			}},
			{Name: "the second", Run: func(context.Context) check.Outcome {
				close(second)
				return check.Outcome{Status: check.Warning, Detail: "d", Hint: "h"}
			}},
		}},
		{Name: "b", Checks: []check.Check{
			{Name: "hangs", Run: func(context.Context) check.Outcome {
				<-hang
				return check.Outcome{Status: check.OK}
			}},
			{Name: "heeds its time", Run: func(ctx context.Context) check.Outcome {
				<-ctx.Done()
				return check.Outcome{Status: check.Skipped, Detail: "over"}
			}},
		}},
	}
	var told []string
	r := check.Run(context.Background(), categories, 50*time.Millisecond, func(category string, r check.Result) {
		told = append(told, category+" "+r.Check+" "+string(r.Status))
	})
	if d := cmp.Diff([]string{"a waits for the second ok", "a the second warning", "b hangs failed", "b heeds its time skipped"}, told); d != "" {
		t.Error(d)
	}
	if r.Success || r.Count(check.Failed) != 1 || r.Count(check.OK) != 1 {
		t.Errorf("%+v", r)
	}
	if d := r.Categories[1].Checks[0].Detail; !strings.Contains(d, "no answer within 50ms") {
		t.Errorf("detail %q", d)
	}
	if s := r.Categories[1].Checks[0].Says; s != "it is not known whether hangs" {
		t.Errorf("says %q", s)
	}
}

// TestStatements: every check has a statement for either answer, and what people
// read is the one that is true.
func TestStatements(t *testing.T) {
	for _, pre := range []bool{false, true} {
		for _, c := range check.Categories(checktest.New().Env, pre) {
			for _, k := range c.Checks {
				if k.Not == "" || k.Not == k.Name {
					t.Errorf("%q has no statement for a failure", k.Name)
				}
			}
		}
	}
	denied := checktest.Forbidden("pods", "no")
	down := errors.New("connection refused")
	for name, test := range map[string]struct {
		ruin        func(*checktest.World)
		check, says string
	}{
		"not installed":    {func(w *checktest.World) { w.Manager = nil }, "traffic-manager is installed", "traffic-manager is not installed"},
		"hidden":           {func(w *checktest.World) { w.Deny("get configmaps") }, "traffic-manager is installed", "it is not known whether traffic-manager is installed"},
		"older":            {func(w *checktest.World) { w.Manager["version"] = "0.0.9" }, "plugin and", "plugin and traffic-manager do not fit"},
		"another patch":    {func(w *checktest.World) { w.Manager["version"] = "0.1.1" }, "plugin and", "plugin and traffic-manager are of different versions"},
		"odd version":      {func(w *checktest.World) { w.Manager["version"] = "main" }, "plugin and", "it is not known whether plugin and traffic-manager fit"},
		"elsewhere":        {func(w *checktest.World) { w.Manager["namespaces"] = "blog" }, "it works in", `it does not work in namespace "shop"`},
		"another one":      {func(w *checktest.World) { w.AddManager("team-b", "") }, "no other", "another traffic-manager works there as well"},
		"forged":           {func(w *checktest.World) { w.Forged = nil }, "its admission", "its admission policies do not protect identities"},
		"odd answer":       {func(w *checktest.World) { w.Forged = down }, "its admission", "it is not known whether its admission policies protect identities"},
		"away":             {func(w *checktest.World) { w.Reach = reach(nil, down) }, "it answers", "it does not answer through the API server"},
		"refuses":          {func(w *checktest.World) { w.Reach = reach(&check.Reached{Refusal: "no"}, nil) }, "it answers", "it answers through the API server, and takes no session"},
		"slower way":       {func(w *checktest.World) { w.Reach = reach(&check.Reached{Closed: down}, nil) }, "it answers", "it answers through the API server"},
		"not directly":     {func(w *checktest.World) { w.Direct = reach(nil, down) }, "it is reached directly", "it is not reached directly"},
		"directly":         {func(w *checktest.World) { w.Direct = reach(&check.Reached{Pod: "a"}, nil) }, "it is reached directly", "it is reached directly"},
		"reviews fail":     {func(w *checktest.World) { w.Break("create", "selfsubjectaccessreviews", down) }, "you may connect", "it is not known whether you may connect this machine"},
		"may not":          {func(w *checktest.World) { w.Denied = []string{"create sessions"} }, "you may connect", "you may not connect this machine"},
		"by port-forward":  {func(w *checktest.World) { w.Denied = []string{"get services/proxy"} }, "you may reach the tr", "you may reach the traffic-manager"},
		"no line":          {func(w *checktest.World) { w.Line = line(denied) }, "flows", "flows do not take the fast way"},
		"no license":       {func(w *checktest.World) { w.License(&license.Report{State: license.Absent}) }, "the license", "no license is missing"},
		"not looked at":    {func(w *checktest.World) { w.License(nil) }, "the license", "it is not known whether the license is valid"},
		"not asked at all": {func(w *checktest.World) { w.Manager = nil }, "plugin and", "plugin and traffic-manager fit"},
	} {
		t.Run(name, func(t *testing.T) {
			w := checktest.New()
			test.ruin(w)
			o := find(t, check.Run(context.Background(), check.Categories(w.Env, false), time.Minute, nil), test.check)
			if o.Says != test.says {
				t.Errorf("%s: %q: %s", o.Status, o.Says, o.Detail)
			}
		})
	}
}

func TestRunSucceedsWithWarnings(t *testing.T) {
	r := check.Run(context.Background(), []check.Category{{Name: "a", Checks: []check.Check{
		{Name: "w", Run: func(context.Context) check.Outcome { return check.Outcome{Status: check.Warning} }},
		{Name: "s", Run: func(context.Context) check.Outcome { return check.Outcome{Status: check.Skipped} }},
	}}}, time.Minute, nil)
	if !r.Success {
		t.Error("warnings make it fail")
	}
}
