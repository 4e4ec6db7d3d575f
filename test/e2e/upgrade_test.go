//go:build e2e

package e2e

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// upgrade gives the chart other values; it is as it was when the test ends. What args do
// not set has its default.
func upgrade(l *lab.Lab, args ...string) {
	l.Helper()
	restored(l)
	upgradeAgain(l, args...)
}

// upgradeAgain gives a chart that upgrade has changed other values.
func upgradeAgain(l *lab.Lab, args ...string) {
	l.Helper()
	l.Must(defaults(l.Context(), l, args...))
}

// restored has the chart as it was when the test ends.
func restored(l *lab.Lab) {
	l.Helper()
	l.Cleanup(func() {
		if err := defaults(context.Background(), l); err != nil {
			l.Errorf("bring the default values back: %v", err)
		}
	})
}

// defaults gives the chart its default values but for those in args, and lets every user
// connect.
func defaults(ctx context.Context, l *lab.Lab, args ...string) error {
	return l.Plugin(ctx, append([]string{"upgrade", "--reset-values", "--wait", "--set", "clientRbac.allowEverybody=true"}, args...)...)
}
