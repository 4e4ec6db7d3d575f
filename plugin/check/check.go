// Package check looks whether kubectl intercept can work here, and says what
// to do where it cannot. Each check is one question with one answer:
//
//	gather (asks the cluster or the machine) → judge (a pure function) → Outcome
//
// What several checks need is asked once; see Env. Checks run at the same time
// and change nothing: what they create is a dry run.
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
	// Skipped: the question does not arise, or cannot be answered because of
	// another check, or because the user may not ask.
	Skipped Status = "skipped"
)

// Outcome is the answer of a check.
type Outcome struct {
	Status Status `json:"status"`
	// Detail is what was found, without full stop.
	Detail string `json:"detail,omitempty"`
	// Hint is what to do about a warning or a failure.
	Hint string `json:"hint,omitempty"`
	// Says is the statement that the outcome makes true: what people read in place
	// of the check's name. Run fills it in where the check itself left it empty.
	Says string `json:"-"`

	// truth is which statement Run chooses for a warning or a failure.
	truth truth
}

// truth is what a warning or a failure says about the check's statement.
type truth int

const (
	untrue  truth = iota // the statement does not hold
	stillSo              // it holds, with something worth knowing
	unknown              // nobody could tell
)

// Check is one question, worded as two statements. Name is true when all is well:
// "the API server answers". Not is true when it warns or fails: "the API server does
// not answer".
type Check struct {
	Name, Not string
	Run       func(context.Context) Outcome
}

// says is the statement that an outcome makes true.
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

// Category is a group of checks that are about the same thing.
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
	// Success says that none failed.
	Success    bool             `json:"success"`
	Categories []CategoryResult `json:"categories"`
}

// Count is the number of checks that ended with a status.
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

// Run runs all checks at once, each for at most limit, and calls done in their
// order, as soon as all before are done too. Done may be nil.
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

// grace is how long a check may take to say that its time is over.
const grace = 500 * time.Millisecond

// within runs a check and gives up on it after limit, also if it does not
// heed its context: not everything in client-go does.
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
	case o := <-out: // it noticed as well, and may know more
		return o
	case <-time.After(grace):
		return fail("no answer within "+limit.String(), "try again; a slow cluster or network may need --timeout with a longer time").unknown()
	}
}

func ok(detail string) Outcome         { return Outcome{Status: OK, Detail: detail} }
func warn(detail, hint string) Outcome { return Outcome{Status: Warning, Detail: detail, Hint: hint} }
func fail(detail, hint string) Outcome { return Outcome{Status: Failed, Detail: detail, Hint: hint} }
func skip(detail string) Outcome       { return Outcome{Status: Skipped, Detail: detail} }

// stillSo is for a warning under which the check's statement holds.
func (o Outcome) stillSo() Outcome { o.truth = stillSo; return o }

// unknown is for a warning or a failure that leaves the question open.
func (o Outcome) unknown() Outcome { o.truth = unknown; return o }

// saying gives an outcome a statement of its own.
func (o Outcome) saying(statement string) Outcome { o.Says = statement; return o }

// failedToAsk is for a question that the cluster did not answer.
func failedToAsk(what string, err error) Outcome {
	return fail(what+": "+render.Error(err), "").unknown()
}
