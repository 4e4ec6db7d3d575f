//go:build e2e

package fault

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// asked is what the flags say.
var asked struct {
	times      int
	handshakes int
	only, json string
	seed       uint64
}

// clusters is the pool of one cluster.
var clusters *lab.Pool

func TestMain(m *testing.M) {
	flag.IntVar(&asked.times, "times", 100, "how often each fault is injected")
	flag.IntVar(&asked.handshakes, "handshakes", 1_000_000, "how many forged handshakes there are")
	flag.StringVar(&asked.only, "only", "", "a regular expression of names of faults and crowds; empty for all")
	flag.StringVar(&asked.json, "json", "", "write the report to this file")
	flag.Uint64Var(&asked.seed, "seed", 1, "of the moments between faults")
	flag.Parse()
	var err error
	if clusters, err = lab.NewPool(cmp.Or(os.Getenv("E2E_CLUSTER"), "fault"), 1); err != nil {
		fmt.Fprintln(os.Stderr, "fault:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := clusters.Down(); err != nil {
		fmt.Fprintln(os.Stderr, "fault:", err)
		code = 1
	}
	os.Exit(code)
}

// TestFaults injects every fault, and prints the tables of README.md. It fails when
// something is lost, damaged or left behind; the bars of time are only printed.
func TestFaults(t *testing.T) {
	only, err := regexp.Compile(asked.only)
	if err != nil {
		t.Fatal(err)
	}
	l := lab.New(t, clusters)
	l.Must(l.Upgrade(t.Context(), "--reuse-values", "--wait", "--set", fmt.Sprintf("replicas=%d", replicas)))
	report := &Report{}
	t.Cleanup(func() { // also of a run that ends early
		l.Must(report.Print(os.Stdout))
		if asked.json != "" {
			l.Must(report.Write(asked.json))
		}
	})
	Run(l, Options{Times: asked.times, Only: only, Seed: asked.seed, Handshakes: asked.handshakes}, report)
	for _, problem := range report.Problems() {
		t.Error(problem)
	}
}
