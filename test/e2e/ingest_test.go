//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestIngest: with --mode ingest the laptop has the environment and the volumes of a container
// until the intercept is left, and the application keeps its traffic.
func TestIngest(t *testing.T) {
	for _, level := range []string{"privileged", "restricted"} {
		t.Run(level, func(t *testing.T) {
			l := lab.New(t, clusters)
			enforce(l, level)
			l.Apply("files.yaml")
			alice := l.Laptop("alice")
			lives, quote := l.Lives(), l.Serving("quote", "http")
			o := alice.Intercept("add", "deploy/quote", "--mode", "ingest")
			for _, line := range []string{"deployment.apps/quote ingested\n", "Intercepting      : nothing, the application keeps its traffic\n",
				"In place of       : container quote of pod " + l.Pod().Name + "\n"} {
				if !strings.Contains(o.Out, line) {
					t.Errorf("add does not say %q:\n%s", line, o.Out)
				}
			}
			mounted := volumesAt(l, o.Out)
			fileIs(l, alice.Root()+mounted+"/etc/quote/color", "green")
			if got := alice.Intercept("list").Out; !strings.Contains(got, "ingested") {
				t.Errorf("list says\n%s", got)
			}
			if got := alice.Intercept("status").Out; !strings.Contains(got, "Intercepting      : nothing, the application keeps its traffic") || strings.Contains(got, "Connections") {
				t.Errorf("status says\n%s", got)
			}
			l.Eventually(quote, "the cluster")
			if now := l.Lives(); now != lives {
				t.Errorf("pods were\n%s\nand are\n%s", lives, now)
			}

			// The same intercept gets the environment, too, and then a program takes traffic.
			file := alice.Home + "/quote.env"
			volumesAt(l, alice.Intercept("add", "deploy/quote", "--mode", "ingest", "--env-file", file).Out)
			text, err := os.ReadFile(file)
			if l.Must(err); !strings.Contains(string(text), "KUBERNETES_SERVICE_HOST=") || !strings.Contains(string(text), "INTERCEPT_NAME=quote\n") {
				t.Errorf("the file has\n%s", text)
			}
			alice.Intercept("add", "deploy/quote", "--port", alice.Serve("alice").To("http"), "--mode", "intercept")
			l.Eventually(quote, "alice")
			alice.Intercept("add", "deploy/quote", "--mode", "ingest")
			l.Eventually(quote, "the cluster")
			alice.Intercept("leave", "quote")
			isUnmounted(l, alice.Root()+mounted)

			// A command begins with it and ends it.
			o = alice.Intercept("add", "deploy/quote", "--mode", "ingest", "--", "sh", "-c", `cat "$INTERCEPT_ROOT/etc/credentials/password"; echo " $INTERCEPT_NAME"`)
			if o.Out != "geheim quote\n" {
				t.Errorf("the command printed %q", o.Out)
			}
			if got := alice.Intercept("list").Out; strings.Contains(got, "ingested") {
				t.Errorf("after the command, list says\n%s", got)
			}
		})
	}
}
