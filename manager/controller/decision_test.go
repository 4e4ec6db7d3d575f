package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// TestState: Active is said when nothing is left to do, not while a pod that is
// being replaced is away.
func TestState(t *testing.T) {
	for name, c := range map[string]struct {
		p    progress
		want v1alpha1.InterceptState
	}{
		"all":       {progress{pods: 2, serving: 2, active: 2}, v1alpha1.StateActive},
		"verifying": {progress{pods: 2, serving: 2, active: 1}, v1alpha1.StateWaiting},
		"attaching": {progress{pods: 2, serving: 1, active: 1}, v1alpha1.StateWaiting},
		"replacing": {progress{pods: 1, serving: 1, active: 1, problem: problem.New(v1alpha1.ReasonReplacing, "replacing pods")}, v1alpha1.StateWaiting},
		"failed":    {progress{pods: 1, serving: 1, active: 1, problem: problem.New(v1alpha1.ReasonImagePull, "no image")}, v1alpha1.StateError},
		"nothing":   {progress{}, v1alpha1.StateWaiting},
	} {
		ic := intercept("alice", time.Now())
		(&decision{connected: true, progress: c.p}).write(&ic.Status)
		if ic.Status.State != c.want {
			t.Errorf("%s: %s, want %s", name, ic.Status.State, c.want)
		}
		(&decision{progress: c.p}).write(&ic.Status)
		if ic.Status.State == v1alpha1.StateActive {
			t.Errorf("%s: active without a laptop", name)
		}
	}
}

// What is said of an active intercept is what it takes.
func TestActiveSaysWhat(t *testing.T) {
	for want, d := range map[string]*decision{
		"1 of 2 pods send their traffic to the laptop":                {mode: v1alpha1.ModeGlobal},
		"1 of 2 pods send every HTTP request to the laptop":           {mode: v1alpha1.ModePersonal, match: &v1alpha1.Match{}},
		"1 of 2 pods send the HTTP requests that match to the laptop": {mode: v1alpha1.ModePersonal, match: &v1alpha1.Match{Method: "GET"}},
	} {
		d.connected, d.progress = true, progress{pods: 2, serving: 2, active: 1}
		if got := d.active().message; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The API server refuses Events with a longer note.
func TestNoteIsShort(t *testing.T) {
	for text, want := range map[string]string{
		"short":                      "short",
		strings.Repeat("x", maxNote): strings.Repeat("x", maxNote),
		strings.Repeat("word ", 300): strings.TrimSpace(strings.Repeat("word ", 204)) + " …",
		strings.Repeat("ä", maxNote): strings.Repeat("ä", (maxNote-len(" …"))/2) + " …",
	} {
		if got := note(text); got != want || len(got) > maxNote {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
}
