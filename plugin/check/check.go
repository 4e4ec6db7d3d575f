// Package check finds out whether kubectl intercept can work with this cluster on
// this machine. If it cannot, a check returns a hint what to do about that. Each
// check answers one question:
//
//	gather (queries the cluster or the machine) → judge (a pure function) → Outcome
//
// Env caches what several checks need. Checks run concurrently and change nothing:
// they create objects only as a dry run.
package check

import (
	"context"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// Status is how a check ended.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failed  Status = "failed"
	// Skipped means that the check does not apply, that another check failed on which
	// it depends, or that the user lacks a right that it needs.
	Skipped Status = "skipped"
)

// Outcome is the result of one check.
type Outcome struct {
	Status Status `json:"status"`
	// Detail is what the check found, without a period at the end.
	Detail string `json:"detail,omitempty"`
	// Hint tells the user what to do about a warning or a failure.
	Hint string `json:"hint,omitempty"`
	// Says is a statement that is true with this outcome. It is shown instead of the
	// check's name. If a check leaves it empty, Run sets it.
	Says string `json:"-"`

	// truth determines which statement Run chooses for a warning or a failure.
	truth truth
}

// truth is whether Check.Name is true in spite of a warning or a failure.
type truth int

const (
	untrue  truth = iota // Check.Name is false
	stillSo              // Check.Name is true, but the user should know the detail
	unknown              // the check could not find out
)

// Check is one question, in the form of two statements. Name is true if the check
// succeeds: "the API server answers". Not is true if it warns or fails: "the API server
// does not answer".
type Check struct {
	Name, Not string
	Run       func(context.Context) Outcome
}

// says returns the statement that is true with an outcome.
func (k Check) says(o Outcome) string {
	problem := o.Status == Warning || o.Status == Failed
	switch {
	case o.Says != "":
		return o.Says
	case problem && o.truth == unknown:
		return "it is not known whether " + k.Name
	case problem && o.truth == untrue && k.Not != "":
		return k.Not
	}
	return k.Name
}

// Category is a group of checks with a common subject.
type Category struct {
	Name   string
	Checks []Check
}

// Result is a check with its outcome.
type Result struct {
	Check string `json:"check"`
	Outcome
}

// CategoryResult is a category with the results of its checks.
type CategoryResult struct {
	Name   string   `json:"category"`
	Checks []Result `json:"checks"`
}

// Report is the outcome of all checks.
type Report struct {
	// Success means that no check failed. Warnings do not count.
	Success    bool             `json:"success"`
	Categories []CategoryResult `json:"categories"`
}

// Count returns the number of checks that ended with a status.
func (r *Report) Count(s Status) int {
	n := 0
	for _, c := range r.Categories {
		for _, k := range c.Checks {
			if k.Status == s {
				n++
			}
		}
	}
	return n
}

// Run runs all checks concurrently, each for at most limit. It calls done with the
// results in the order of the checks, each as soon as the checks before it have ended
// too. Done may be nil.
func Run(ctx context.Context, categories []Category, limit time.Duration, done func(category string, r Result)) *Report {
	outcomes := make([][]chan Outcome, len(categories))
	for i, c := range categories {
		for _, k := range c.Checks {
			out := make(chan Outcome, 1)
			outcomes[i] = append(outcomes[i], out)
			go func() { out <- within(ctx, limit, k) }()
		}
	}
	report := &Report{Success: true}
	for i, c := range categories {
		result := CategoryResult{Name: c.Name, Checks: []Result{}}
		for j, k := range c.Checks {
			r := Result{Check: k.Name, Outcome: <-outcomes[i][j]}
			r.Says = k.says(r.Outcome)
			report.Success = report.Success && r.Status != Failed
			result.Checks = append(result.Checks, r)
			if done != nil {
				done(c.Name, r)
			}
		}
		report.Categories = append(report.Categories, result)
	}
	return report
}

// grace is how long Run waits for a check to return after its context has ended.
const grace = 500 * time.Millisecond

// within runs a check and stops waiting for it after limit. It does so even if the check
// ignores its context, as some functions of client-go do.
func within(ctx context.Context, limit time.Duration, k Check) Outcome {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := make(chan Outcome, 1)
	go func() { out <- k.Run(ctx) }()
	select {
	case o := <-out:
		return o
	case <-ctx.Done():
	}
	select {
	case o := <-out: // the check itself noticed the end of the context, and may know the cause
		return o
	case <-time.After(grace):
		return fail("no answer within "+limit.String(), "try again; a slow cluster or network may need --timeout with a longer time").unknown()
	}
}

func ok(detail string) Outcome         { return Outcome{Status: OK, Detail: detail} }
func warn(detail, hint string) Outcome { return Outcome{Status: Warning, Detail: detail, Hint: hint} }
func fail(detail, hint string) Outcome { return Outcome{Status: Failed, Detail: detail, Hint: hint} }
func skip(detail string) Outcome       { return Outcome{Status: Skipped, Detail: detail} }

// stillSo marks a warning with which the check's Name is still true.
func (o Outcome) stillSo() Outcome { o.truth = stillSo; return o }

// unknown marks a warning or a failure of a check that could not find out whether its
// Name is true.
func (o Outcome) unknown() Outcome { o.truth = unknown; return o }

// saying sets the statement of an outcome.
func (o Outcome) saying(statement string) Outcome { o.Says = statement; return o }

// failedToAsk is the outcome of a check whose query to the cluster failed.
func failedToAsk(what string, err error) Outcome {
	return fail(what+": "+render.Error(err), "").unknown()
}
