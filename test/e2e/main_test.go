//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// clusters are what tests share, one test at a time each.
var clusters *lab.Pool

func TestMain(m *testing.M) {
	var err error
	if clusters, err = lab.NewPool("e2e", 2); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := clusters.Down(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}
