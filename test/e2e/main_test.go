//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// clusters are what tests share, one test at a time each.
var clusters *lab.Pool

func TestMain(m *testing.M) {
	// Programs on laptops would inherit that nohup has this process ignore SIGHUP. They
	// do not inherit what it catches.
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	name := cmp.Or(os.Getenv("E2E_CLUSTER"), "e2e")
	var err error
	if clusters, err = lab.NewPool(name, 2); err != nil {
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
