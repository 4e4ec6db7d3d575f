package install

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

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
	there     *helm.Release
	installed bool
}

func (r *releases) Get(context.Context) (*helm.Release, error) {
	if r.there == nil {
		return nil, fmt.Errorf("traffic-manager is %w in namespace team-a", helm.ErrNotInstalled)
	}
	return r.there, nil
}

func (r *releases) Install(context.Context, helm.Options) (*helm.Release, error) {
	r.installed = true
	return &helm.Release{Name: "traffic-manager", Version: "0.1.0", Namespace: "team-a"}, nil
}

func TestRun(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	release := func(status string) *helm.Release {
		return &helm.Release{Name: "traffic-manager", Version: "0.0.9", Namespace: "team-a", Revision: 3, Status: status, Changed: since}
	}
	for _, tt := range []struct {
		name    string
		there   *helm.Release
		wantErr string
	}{
		{name: "new"},
		{name: "installed", there: release("deployed"),
			wantErr: "traffic-manager 0.0.9 (revision 3, deployed since 2026-01-02T03:04:05Z) is already installed in namespace team-a; " +
				"kubectl intercept upgrade --namespace team-a changes it"},
		{name: "failed", there: release("failed"),
			wantErr: "traffic-manager 0.0.9 (revision 3, failed since 2026-01-02T03:04:05Z) is in namespace team-a, where its last change failed; " +
				"kubectl intercept upgrade --namespace team-a tries again, kubectl intercept uninstall --namespace team-a removes it"},
		{name: "pending", there: release("pending-install"),
			wantErr: "traffic-manager 0.0.9 in namespace team-a is in state pending-install since 2026-01-02T03:04:05Z: " +
				"another command is at it, or one was killed. If none is running:\n" +
				"  kubectl intercept uninstall --namespace team-a\nand then again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			streams, _, _, _ := genericiooptions.NewTestIOStreams()
			f := kube.NewFactory()
			namespace := "team-a"
			f.ConfigFlags.Namespace = &namespace
			d, err := deploy.New(t.Context(), f, streams, &helm.ApplyFlags{DryRun: "none", Timeout: 1})
			if err != nil {
				t.Fatal(err)
			}
			client, err := helm.New(f, namespace)
			if err != nil {
				t.Fatal(err)
			}
			clients := fake.NewClientset()
			helmtest.As("admin", clients)
			clients.Discovery().(*discoveryfake.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.30.0"}
			rel := &releases{Client: client, there: tt.there}
			d.Kube, d.Releases = clients, rel
			got := ""
			if err := (&Options{d}).Run(t.Context()); err != nil {
				got = err.Error()
			}
			if got != tt.wantErr {
				t.Errorf("error %q, want %q", got, tt.wantErr)
			}
			if rel.installed != (tt.wantErr == "") {
				t.Errorf("installed: %t", rel.installed)
			}
		})
	}
}

// A client dry run needs no cluster, and prints nothing but what was asked for,
// the same each time.
func TestClientDryRun(t *testing.T) {
	t.Setenv("KUBECONFIG", "testdata/none")
	t.Setenv("HOME", t.TempDir())
	run := func(args ...string) string {
		streams, _, out, errOut := genericiooptions.NewTestIOStreams()
		cmd := NewCommand(kube.NewFactory(), streams)
		cmd.SetArgs(append(args, "--dry-run=client", "--set", "replicas=3,logLevel=info", "--set-string", "podLabels.team=a"))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if errOut.Len() > 0 {
			t.Errorf("on standard error: %s", errOut)
		}
		return out.String()
	}
	manifests := run("-o", "yaml")
	if !strings.HasPrefix(manifests, "---\n# Source: traffic-manager/templates/") || !strings.Contains(manifests, "replicas: 3") {
		t.Error("not manifests only")
	}
	for range 2 {
		if run("-o", "yaml") != manifests {
			t.Fatal("two runs print different manifests")
		}
	}
	if got, want := run("-o", "values"), "podLabels:\n  team: a\nreplicas: 3\n"; got != want {
		t.Errorf("values\n%swant\n%s", got, want)
	}
}
