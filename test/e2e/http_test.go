//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestHTTP: applications answer the same, byte for byte, whether callers reach them
// directly or through an agent whose intercept matches no request, and they receive the
// same. What differs is in testdata/http-differences.txt, with a reason.
func TestHTTP(t *testing.T) {
	l := lab.New(t, clusters)
	l.LoadApps()
	f := newField(l)
	var manifest strings.Builder
	for _, a := range f.apps {
		manifest.WriteString(a.manifest())
	}
	l.ApplyText(manifest.String())
	f.serving()

	f.learn()
	f.steady()
	alice := l.Laptop("alice")
	f.intercept(alice)
	f.compare()
	alice.End()
	for _, a := range f.apps {
		l.Until("no traffic of "+a.name+" is redirected", func() error { return f.undisturbed(a) })
	}
	f.confirm()
	f.check(true)
}

// intercept makes an intercept of every port, which no request of this test matches.
func (f *field) intercept(alice *lab.Laptop) {
	f.l.Helper()
	for _, a := range f.apps {
		args := []string{"add", a.name, "--match", "x-nobody=nobody"}
		for _, port := range a.intercepted() {
			args = append(args, "--port", alice.Serve("alice").To(fmt.Sprintf("p%d", port)))
		}
		alice.Intercept(args...)
	}
}

// undisturbed returns an error while the pod of an application redirects traffic.
func (f *field) undisturbed(a *app) error {
	for _, p := range f.l.Pods() {
		if p.Labels["app"] != a.name {
			continue
		}
		if rules := f.l.Redirects(&p); len(rules) > 0 {
			return fmt.Errorf("%s", strings.Join(rules, "\n"))
		}
	}
	return nil
}

// steady compares direct calls with direct calls as often as HTTP_STEADY says, to show that
// the comparison itself finds no difference.
func (f *field) steady() {
	f.l.Helper()
	times, _ := strconv.Atoi(os.Getenv("HTTP_STEADY"))
	for n := range times {
		f.compare()
		first := len(f.differences())
		f.confirm()
		f.l.Logf("time %d: %d differences, %d of them confirmed", n+1, first, len(f.differences()))
		f.check(false)
	}
}
