package upgrade

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	discoveryfake "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/deploy"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/helmtest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// releases is a namespace with at most one release.
type releases struct {
	*helm.Client
	there *helm.Release
	done  string
}

func (r *releases) Get(context.Context) (*helm.Release, error) {
	if r.there == nil {
		return nil, fmt.Errorf("traffic-manager is %w in namespace intercept-system", helm.ErrNotInstalled)
	}
	return r.there, nil
}

func (r *releases) Install(context.Context, helm.Options) (*helm.Release, error) {
	r.done = "install"
	return &helm.Release{Name: "traffic-manager", Version: "0.1.0", Namespace: "intercept-system"}, nil
}

func (r *releases) Upgrade(context.Context, helm.Options) (*helm.Release, error) {
	r.done = "upgrade"
	return &helm.Release{Name: "traffic-manager", Version: "0.1.0", Namespace: "intercept-system"}, nil
}

func TestRun(t *testing.T) {
	release := func(status string) *helm.Release {
		return &helm.Release{Name: "traffic-manager", Version: "0.0.9", Namespace: "intercept-system", Status: status, Revision: 1}
	}
	for _, tt := range []struct {
		name    string
		there   *helm.Release
		install bool
		done    string
		wantErr string
	}{
		{name: "there", there: release("deployed"), done: "upgrade"},
		{name: "after a failure", there: release("failed"), install: true, done: "upgrade"},
		{name: "absent", wantErr: "traffic-manager is not installed in namespace intercept-system; kubectl intercept install installs it"},
		{name: "absent, --install", install: true, done: "install"},
		{name: "pending", there: release("pending-install"), install: true,
			wantErr: "traffic-manager 0.0.9 in namespace intercept-system is in state pending-install since 0001-01-01T00:00:00Z: " +
				"another command is at it, or one was killed. If none is running:\n  kubectl intercept uninstall\nand then again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			streams, _, _, _ := genericiooptions.NewTestIOStreams()
			f := kube.NewFactory()
			d, err := deploy.New(t.Context(), f, streams, &helm.ApplyFlags{DryRun: "none", Timeout: 1})
			if err != nil {
				t.Fatal(err)
			}
			client, err := helm.New(f, "intercept-system")
			if err != nil {
				t.Fatal(err)
			}
			clients := fake.NewClientset()
			helmtest.As("admin", clients)
			clients.Discovery().(*discoveryfake.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.36.0"}
			rel := &releases{Client: client, there: tt.there}
			d.Kube, d.Releases = clients, rel
			got := ""
			if err := (&Options{Options: d, OrInstall: tt.install}).Run(t.Context()); err != nil {
				got = err.Error()
			}
			if got != tt.wantErr || rel.done != tt.done {
				t.Errorf("did %q, error %q, want %q", rel.done, got, tt.wantErr)
			}
		})
	}
}

// As with Helm, the flag that resets more wins over the others.
func TestReuse(t *testing.T) {
	for args, want := range map[string]helm.Reuse{
		"":                              helm.ReuseOverReset,
		"--reset-values":                helm.ReuseNone,
		"--reuse-values":                helm.ReuseAll,
		"--reset-values --reuse-values": helm.ReuseNone,
		"--reset-values --reset-then-reuse-values": helm.ReuseNone,
		"--reuse-values --reset-then-reuse-values": helm.ReuseAll,
		"--reset-then-reuse-values=false":          helm.ReuseDefault,
	} {
		flags := &Flags{}
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.AddFlags(fs)
		if err := fs.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if got := flags.reuse(); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

// Flags with Helm's names do what they do for Helm.
func TestHelmFlags(t *testing.T) {
	f := kube.NewFactory()
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	server := "https://127.0.0.1:1"
	f.APIServer = &server
	flags := &Flags{}
	fs := pflag.NewFlagSet("upgrade", pflag.ContinueOnError)
	flags.AddFlags(fs)
	if err := fs.Parse([]string{"--cleanup-on-fail", "--debug", "--history-max=3"}); err != nil {
		t.Fatal(err)
	}
	o, err := flags.ToOptions(t.Context(), f, streams)
	if err != nil {
		t.Fatal(err)
	}
	if !o.Apply.CleanupOnFail || o.Apply.Debug != errOut || o.Apply.MaxHistory != 3 {
		t.Errorf("options %+v", o.Apply)
	}
}
