package helm

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/version"
	discoveryfake "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

func TestCheckServer(t *testing.T) {
	for server, want := range map[string]string{
		"v1.30.0":         "",
		"v1.30.0-alpha.1": "",
		"v1.36.3+k3s1":    "",
		"v2.0.0":          "",
		"v1.29.14-gke.1":  "the server is Kubernetes v1.29.14-gke.1, the traffic-manager needs 1.30 or later (ValidatingAdmissionPolicy)",
		"unknown":         `read the server's version "unknown": could not parse "unknown" as version`,
	} {
		d := fake.NewClientset().Discovery().(*discoveryfake.FakeDiscovery)
		d.FakedServerVersion = &version.Info{GitVersion: server}
		if got := message(CheckServer(d)); got != want {
			t.Errorf("%s: %q, want %q", server, got, want)
		}
	}
}

func TestNamespace(t *testing.T) {
	f := kube.NewFactory()
	if got := Namespace(f); got != "intercept-system" {
		t.Errorf("without flags: %s", got)
	}
	f.ManagerNamespace = "managers"
	if got := Namespace(f); got != "managers" {
		t.Errorf("with --manager-namespace: %s", got)
	}
	ns := "team-a"
	f.ConfigFlags.Namespace = &ns
	if got := Namespace(f); got != "team-a" {
		t.Errorf("with -n: %s", got)
	}
}

func TestApplyFlags(t *testing.T) {
	for _, tt := range []struct {
		args    string
		wait    bool
		dryRun  DryRun
		wantErr string
	}{
		{args: "", wait: true, dryRun: DryRunNone},
		{args: "--wait=false", dryRun: DryRunNone},
		{args: "--wait=false --atomic", wait: true, dryRun: DryRunNone},
		{args: "--dry-run", wait: true, dryRun: DryRunClient},
		{args: "--dry-run=server -o yaml", wait: true, dryRun: DryRunServer},
		{args: "--dry-run=maybe", wantErr: "invalid --dry-run=maybe: client, server or none"},
		{args: "-o json", wantErr: "invalid --output=json: yaml or values"},
		{args: "--timeout=0", wantErr: "invalid --timeout=0s: it must be positive; --wait=false does not wait"},
		{args: "--chart testdata/none", wantErr: "load chart: stat testdata/none: no such file or directory; --chart takes a directory, a packaged chart or an oci:// reference"},
		{args: "--version 9.9.9", wantErr: "the built-in chart has version 0.1.0, not 9.9.9; --chart names one that has it, " +
			"and each version of the plugin brings its own"},
		{args: "--version ^0.1", wait: true, dryRun: DryRunNone},
		{args: "--chart ../../chart --version >1", wantErr: "chart ../../chart has version 0.1.0, not >1"},
		{args: "--chart oci://registry.example.com", wantErr: "pull chart oci://registry.example.com: " +
			"it names no repository: oci://REGISTRY/PATH/traffic-manager"},
		{args: "--chart oci://127.0.0.1:1/traffic-manager --ca-file flags.go", wantErr: "pull chart oci://127.0.0.1:1/traffic-manager: " +
			"--ca-file flags.go has no certificate in PEM"},
		{args: "-f testdata/none", wantErr: "read values: open testdata/none: no such file or directory"},
	} {
		a := &ApplyFlags{}
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		a.AddFlags(flags, "it is undone")
		if err := flags.Parse(strings.Fields(tt.args)); err != nil {
			t.Fatal(err)
		}
		o, err := a.ToOptions(t.Context())
		if message(err) != tt.wantErr {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.wantErr)
		}
		if err == nil && (o.Wait != tt.wait || o.DryRun != tt.dryRun) {
			t.Errorf("%s: wait %t, dry run %s", tt.args, o.Wait, o.DryRun)
		}
	}
}

// Later kinds of flags win, as in Helm.
func TestValueOrder(t *testing.T) {
	v := &ValueFlags{}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	v.AddFlags(flags)
	err := flags.Parse([]string{
		"--set-string=replicas=5", "--set=replicas=4,image.tag=a", `--set-json=agent={"logLevel":"debug"}`, "--set-literal=image.tag=a,b",
	})
	if err != nil {
		t.Fatal(err)
	}
	values, err := v.Values()
	if err != nil {
		t.Fatal(err)
	}
	if values["replicas"] != "5" || values["image"].(map[string]any)["tag"] != "a,b" ||
		values["agent"].(map[string]any)["logLevel"] != "debug" {
		t.Errorf("values %v", values)
	}
}
