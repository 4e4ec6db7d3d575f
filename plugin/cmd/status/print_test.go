package status

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// A session that an older plugin started says what becomes of it.
func TestProcess(t *testing.T) {
	for of, want := range map[string]string{
		version.Version: "7, version " + version.Version,
		"0.0.9": "7, version 0.0.9; the next kubectl intercept add, run or connect replaces it with version " + version.Version +
			" and keeps its intercepts and network",
	} {
		if got := process(&session.Status{PID: 7, Version: of}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
