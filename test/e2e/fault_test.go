//go:build e2e

package e2e

import (
	"os"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
	"github.com/kubectl-intercept/kubectl-intercept/test/fault"
)

// TestFaultsUnderLoad is the short form of `make fault`: the quick faults, once each, with an
// ephemeral agent and with a sidecar. Callers lose no request, no byte is damaged, and
// nothing is left behind.
func TestFaultsUnderLoad(t *testing.T) {
	l := lab.New(t, clusters)
	upgrade(l, "--set", "replicas=3")
	report := &fault.Report{}
	t.Cleanup(func() { l.Must(report.Print(os.Stdout)) })
	fault.Run(l, fault.Options{Times: 1, Short: true, Seed: 1, Handshakes: 500}, report)
	for _, problem := range report.Problems() {
		t.Error(problem)
	}
}
