//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// krewed puts a version of the plugin into a laptop's home as krew does: in a store, with a
// link in a folder of PATH. The version before goes. It is a copy, so that the link alone
// says which program runs.
const krewed = `set -e
mkdir -p ~/.krew/bin ~/.krew/store/VERSION
cp "$(dirname "$(command -v kubectl-intercept)")/kubectl-intercept" ~/.krew/store/VERSION/kubectl-intercept
ln -sfn ~/.krew/store/VERSION/kubectl-intercept ~/.krew/bin/kubectl-intercept
cd ~/.krew/store && for v in *; do [ "$v" = VERSION ] || rm -rf "$v"; done
`

// TestCompletion installs the completion beside a plugin of krew's, and asks kubectl as a
// shell does. It goes on to work when krew upgrades the plugin, and prints nothing else when
// the cluster is away.
func TestCompletion(t *testing.T) {
	l := lab.New(t, clusters)
	alice := here(l, "alice")
	l.Apply("quote.yaml")
	const path = `PATH="$HOME/.krew/bin:$PATH"; `
	alice.Shell(strings.ReplaceAll(krewed, "VERSION", "v1"))
	ask := func(words, want string) {
		l.Helper()
		o := alice.Sh(path + "kubectl __complete " + words + " 2>stderr; kubectl_complete-intercept " + strings.TrimPrefix(words, "intercept ") + " 2>&1 >/dev/null")
		if o.Out != want || o.Failed {
			t.Errorf("after kubectl %s a shell is told\n%swant\n%s", words, o.Out, want)
		}
	}
	for _, s := range transcript(t, "Completion") {
		if o := alice.Sh(path + s.command); o.Out != strings.ReplaceAll(s.printed, "/home/alice", alice.Home) {
			t.Errorf("%s says %s%s", s.command, o.Out, o.Err)
		}
	}
	ask("intercept add deploy/qu", "deploy/quote\n:4\n")
	ask("intercept add sts", ":4\n")
	ask("intercept le", "leave\tGive a workload its traffic back\n:4\n")
	ask("intercept add quote --port 9000:h", "9000:http\tport 80 of service/quote\n:4\n")
	ask("intercept list -n intercept-sys", ":4\n") // alice may not list namespaces

	program := alice.Serve("alice")
	alice.Intercept("add", "quote", "--port", program.To(""))
	ask("intercept leave ''", "quote\tdeployment/quote\n:4\n")
	alice.Intercept("leave", "quote")
	ask("intercept leave ''", ":4\n")

	alice.Shell(strings.ReplaceAll(krewed, "VERSION", "v2"))
	ask("intercept add deploy/qu", "deploy/quote\n:4\n")
	if o := alice.Sh(path + "readlink -f ~/.krew/bin/kubectl_complete-intercept"); o.Out != alice.Home+"/.krew/store/v2/kubectl-intercept\n" {
		t.Errorf("after the upgrade it leads to %s%s", o.Out, o.Err)
	}

	alice.Try("kubectl-intercept", "__complete", "add", "-n", l.Namespace, "deploy/qu") // the log has how long it takes

	// A cluster that is away. Types are known without it.
	away := "--server https://198.51.100.1:6443 "
	ask("intercept add "+away+"deploy/qu", ":4\n")
	ask("intercept add "+away+"dep", "deployment/\n:6\n")
	ask("intercept add --kubeconfig none dep", "deployment/\n:6\n")
	if o := alice.Sh(path + "kubectl_complete-intercept add --no-such-flag '' 2>&1 >/dev/null"); o.Out != "" || o.Failed {
		t.Errorf("on the standard error output it says %s", o.Out)
	}
}
