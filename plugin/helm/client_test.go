package helm

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	helmfake "helm.sh/helm/v3/pkg/kube/fake"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// newFake returns a Client whose releases are in memory and whose cluster takes
// everything.
func newFake(t *testing.T) *Client {
	t.Helper()
	mem := driver.NewMemory()
	mem.SetNamespace("intercept-system")
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = chartutil.KubeVersion{Version: "v1.30.0", Major: "1", Minor: "30"}
	return &Client{namespace: "intercept-system", cfg: &action.Configuration{
		Releases:     storage.Init(mem),
		KubeClient:   &helmfake.FailingKubeClient{PrintingKubeClient: helmfake.PrintingKubeClient{Out: io.Discard}},
		Capabilities: caps,
		Log:          t.Logf,
	}}
}

func options(t *testing.T, values map[string]any) Options {
	t.Helper()
	c, err := LoadChart(t.Context(), ChartSource{})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Chart: c, Values: values, Timeout: time.Minute, DryRun: DryRunNone, Reuse: ReuseOverReset}
}

func TestInstallUpgradeUninstall(t *testing.T) {
	ctx, c := t.Context(), newFake(t)
	if _, err := c.Get(ctx); !errors.Is(err, ErrNotInstalled) {
		t.Fatalf("Get before install: %v", err)
	}
	if _, err := c.Install(ctx, options(t, map[string]any{"replicas": 2, "namespaces": []any{"shop"}})); err != nil {
		t.Fatal(err)
	}
	r, err := c.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Version != version.Version || r.Status != "deployed" || r.Failed() || len(r.Namespaces) != 1 {
		t.Errorf("after install: %+v", r)
	}
	if r, err = c.Upgrade(ctx, options(t, map[string]any{"logLevel": "debug"})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"replicas: 2", "--log-level=debug", "--namespaces=shop"} {
		if !strings.Contains(r.Manifest, want) {
			t.Errorf("after upgrade: no %q in the manifest", want)
		}
	}
	if got, want := fmt.Sprint(r.Values), "map[logLevel:debug namespaces:[shop] replicas:2]"; got != want {
		t.Errorf("values after upgrade: %s, want %s", got, want)
	}
	reuse := options(t, map[string]any{"replicas": 1})
	reuse.Reuse = ReuseAll
	if r, err = c.Upgrade(ctx, reuse); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(r.Values), "map[logLevel:debug namespaces:[shop]]"; got != want {
		t.Errorf("values with --reuse-values: %s, want %s", got, want)
	}
	reset := options(t, nil)
	reset.Reuse = ReuseNone
	if r, err = c.Upgrade(ctx, reset); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Manifest, "replicas: 1") || len(r.Namespaces) != 0 || len(r.Values) != 0 {
		t.Error("--reset-values kept values")
	}
	gone, err := c.Uninstall(ctx, time.Minute, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"CustomResourceDefinition/intercepts.kubectl-intercept.dev",
		"CustomResourceDefinition/sessions.kubectl-intercept.dev",
	}
	if strings.Join(gone.Kept, " ") != strings.Join(want, " ") {
		t.Errorf("kept %q, want %q", gone.Kept, want)
	}
	if _, err := c.Get(ctx); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("Get after uninstall: %v", err)
	}
}

func TestFailedInstallIsRecorded(t *testing.T) {
	ctx, c := t.Context(), newFake(t)
	c.cfg.KubeClient.(*helmfake.FailingKubeClient).WaitError = errors.New("wait: context deadline exceeded")
	o := options(t, nil)
	o.Wait = true
	_, err := c.Install(ctx, o)
	if !errors.Is(err, ErrNotReady) || err.Error() != "install chart: traffic-manager is not ready after 1m0s" {
		t.Errorf("error: %v", err)
	}
	if r, err := c.Get(ctx); err != nil || !r.Failed() {
		t.Errorf("release %+v, %v", r, err)
	}
	// The way on that the commands name.
	c.cfg.KubeClient.(*helmfake.FailingKubeClient).WaitError = nil
	if _, err := c.Upgrade(ctx, o); err != nil {
		t.Error(err)
	}
}

func TestCheckPending(t *testing.T) {
	c := &Client{namespace: "team-a"}
	r := &Release{Name: ReleaseName, Version: "0.1.0", Revision: 3, Changed: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	const (
		uninstall = "kubectl intercept uninstall --namespace team-a"
		forget    = "kubectl delete secret --namespace team-a sh.helm.release.v1.traffic-manager.v3  (forgets the unfinished revision)"
	)
	for status, wayOut := range map[release.Status]string{
		release.StatusDeployed:        "",
		release.StatusFailed:          "",
		release.StatusPendingInstall:  uninstall,
		release.StatusUninstalling:    uninstall,
		release.StatusPendingUpgrade:  forget,
		release.StatusPendingRollback: forget,
	} {
		want := ""
		if wayOut != "" {
			want = "traffic-manager 0.1.0 in namespace team-a is in state " + string(status) + " since 2026-01-02T03:04:05Z: " +
				"another command is at it, or one was killed. If none is running:\n  " + wayOut + "\nand then again"
		}
		r.Status = string(status)
		if got := message(c.CheckPending(r)); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", status, got, want)
		}
	}
}

// Helm's requests carry what the kubeconfig flags say.
func TestFlagsReachHelm(t *testing.T) {
	var user, token, path string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, token, path = r.Header.Get("Impersonate-User"), r.Header.Get("Authorization"), r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"kind":"SecretList","apiVersion":"v1","metadata":{},"items":[]}`)
	}))
	defer server.Close()
	t.Setenv("KUBECONFIG", "/dev/null")
	f := kube.NewFactory()
	as, bearer, insecure := "alice", "secret", true
	f.APIServer, f.Insecure, f.Impersonate, f.BearerToken = &server.URL, &insecure, &as, &bearer
	c, err := New(f, "team-a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context()); !errors.Is(err, ErrNotInstalled) {
		t.Fatal(err)
	}
	if user != "alice" || token != "Bearer secret" || path != "/api/v1/namespaces/team-a/secrets" {
		t.Errorf("user %q, token %q, path %q", user, token, path)
	}
}

// --debug shows Helm's own log.
func TestLogTo(t *testing.T) {
	c := newFake(t)
	var log strings.Builder
	c.LogTo(&log)
	if _, err := c.Install(t.Context(), options(t, nil)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(log.String(), "[debug] ") {
		t.Errorf("logged %q", log.String())
	}
}
