package check_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/check"
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
