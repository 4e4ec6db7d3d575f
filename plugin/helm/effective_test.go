package helm

import (
	"fmt"
	"testing"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/strvals"
)

// parsed is what --set makes.
func parsed(t *testing.T, set ...string) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, s := range set {
		if err := strvals.ParseInto(s, out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// What is misspelled or of the wrong type is refused with what to type.
func TestEffectiveExplains(t *testing.T) {
	for set, want := range map[string]string{
		"replica=2":                "invalid values: there is no value replica; did you mean replicas?",
		"agent.image.tags=9":       "invalid values: there is no value agent.image.tags; did you mean agent.image.tag?",
		"nothing.like.it=1":        "invalid values: there is no value nothing",
		"agent.image.tag=9":        "invalid values: agent.image.tag is a string, and this is a number: use --set-string agent.image.tag=…, or quotes in a file",
		"podLabels.seen=true":      "invalid values: podLabels.seen is a string, and this is a boolean: use --set-string podLabels.seen=…, or quotes in a file",
		"replicas=many":            "invalid values: replicas: got string, want integer",
		"replicas=0":               "invalid values: replicas: minimum: got 0, want 1",
		"logLevel=loud":            "invalid values: logLevel: value must be one of 'debug', 'info', 'warn', 'error'",
		"replica=2,logLevel=0":     "invalid values: logLevel is a string, and this is a number: use --set-string logLevel=…, or quotes in a file\ninvalid values: there is no value replica; did you mean replicas?",
		"replicas=2,logLevel=warn": "",
	} {
		_, err := options(t, parsed(t, set)).Effective(nil)
		if got := message(err); got != want {
			t.Errorf("--set %s:\n%s\nwant\n%s", set, got, want)
		}
	}
}

// The values are those that Helm will render with.
func TestEffective(t *testing.T) {
	earlier := &Release{config: parsed(t, "namespaces={shop}", "replicas=2"), defaults: parsed(t, "logLevel=debug")}
	for _, tt := range []struct {
		name    string
		set     []string
		reuse   Reuse
		earlier *Release
		want    string // namespaces, replicas, logLevel
	}{
		{name: "install", want: "[] 1 info"},
		{name: "install, set", set: []string{"namespaces={blog}"}, want: "[blog] 1 info"},
		{name: "kept", earlier: earlier, reuse: ReuseOverReset, want: "[shop] 2 info"},
		{name: "kept, changed", earlier: earlier, reuse: ReuseOverReset, set: []string{"namespaces={blog}"}, want: "[blog] 2 info"},
		{name: "taken back", earlier: earlier, reuse: ReuseOverReset, set: []string{"namespaces=null"}, want: "[] 2 info"},
		{name: "reset", earlier: earlier, reuse: ReuseNone, set: []string{"replicas=3"}, want: "[] 3 info"},
		{name: "old defaults too", earlier: earlier, reuse: ReuseAll, want: "[shop] 2 debug"},
		{name: "Helm's way, nothing set", earlier: earlier, want: "[shop] 2 info"},
		{name: "Helm's way, something set", earlier: earlier, set: []string{"replicas=3"}, want: "[] 3 info"},
	} {
		o := options(t, parsed(t, tt.set...))
		o.Reuse = tt.reuse
		got, err := o.Effective(tt.earlier)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if s := fmt.Sprint(Namespaces(got), " ", got["replicas"], " ", got["logLevel"]); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
}

func TestLicenseSecret(t *testing.T) {
	for set, want := range map[string]string{
		"replicas=1":                                "",
		"license.secret.name=mine":                  "mine",
		"licenseKey.secret.name=mine":               "mine",
		"license.secret.name=mine,license.key=text": "", // the chart makes it
	} {
		if got := LicenseSecret(parsed(t, set)); got != want {
			t.Errorf("--set %s: %q, want %q", set, got, want)
		}
	}
}

func TestNoArgs(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"replicas=3"}, `unknown argument "replicas=3"; did you mean --set replicas=3?`},
		{[]string{"--dry-run", "client"}, `unknown argument "client"; did you mean --dry-run=client?`},
		{[]string{"client"}, `unknown command "client" for "upgrade"`},
		{[]string{"now"}, `unknown command "now" for "upgrade"`},
	} {
		cmd := &cobra.Command{Use: "upgrade", Args: NoArgs, RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
		(&ApplyFlags{}).AddFlags(cmd.Flags(), "")
		cmd.SetArgs(append([]string{}, tt.args...))
		if got := message(cmd.Execute()); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.args, got, tt.want)
		}
	}
}
