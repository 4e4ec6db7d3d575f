//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestChartFromRegistry pushes what `make chart` packages to a registry and
// installs from there: the same as with the chart that the plugin carries.
func TestChartFromRegistry(t *testing.T) {
	l, admin := team(t)
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	pushChart(l, images, "charts/traffic-manager")
	ln, err := admin.Space.Listen("127.0.0.1:0") // on the laptop, where the plugin pulls
	l.Must(err)
	server := httptest.NewUnstartedServer(images)
	server.Listener.Close()
	server.Listener = ln
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // who speaks TLS
	server.Start()
	t.Cleanup(server.Close)
	from := []string{"--chart", "oci://" + ln.Addr().String() + "/charts/traffic-manager", "--plain-http"}
	with := func(verb string, more ...string) []string { return append(append([]string{verb}, own(l)...), more...) }

	admin.Refused(with("install", append(from, "--version", "^9", "--dry-run=server")...), "pull chart oci://", "^9")

	dry := []string{"--dry-run=server", "-o", "yaml"}
	builtIn := admin.Intercept(with("install", dry...)...).Out
	if !strings.Contains(builtIn, "kind: Deployment") {
		t.Fatalf("a dry run prints\n%s", builtIn)
	}
	for _, v := range []string{"", version.Version, "^0"} {
		if got := admin.Intercept(with("install", append(append(from, "--version", v), dry...)...)...).Out; got != builtIn {
			t.Errorf("with --version %q the chart of the registry renders\n%s\nthe built-in one\n%s", v, got, builtIn)
		}
	}

	admin.Intercept(with("install", append(from, "--wait")...)...)
	admin.Intercept("upgrade", "--namespace", l.Namespace, from[0], from[1], from[2], "--set", "logLevel=debug")
	d, err := manager(l, l.Namespace)
	l.Must(err)
	if args := strings.Join(d.Spec.Template.Spec.Containers[0].Args, " "); !strings.Contains(args, "--log-level=debug") {
		t.Errorf("after the upgrade from the registry the arguments are %s", args)
	}
}

// pushChart packages the chart and puts it into a registry as `helm push` does
// (https://helm.sh/docs/topics/registries): a manifest, the chart's metadata and
// the archive.
func pushChart(l *lab.Lab, images http.Handler, repository string) {
	l.Helper()
	folder := l.TempDir()
	out, err := exec.CommandContext(l.Context(), "go", "run", "../../chart/pack", "-o", folder).CombinedOutput()
	if err != nil {
		l.Fatalf("package the chart: %v\n%s", err, out)
	}
	archive, err := os.ReadFile(filepath.Join(folder, "traffic-manager-"+version.Version+".tgz"))
	l.Must(err)
	text, err := os.ReadFile("../../chart/Chart.yaml")
	l.Must(err)
	metadata, err := yaml.YAMLToJSON(text)
	l.Must(err)

	send := func(method, path, kind string, body []byte) {
		l.Helper()
		q := httptest.NewRequest(method, path, bytes.NewReader(body))
		q.Header.Set("Content-Type", kind)
		answer := httptest.NewRecorder()
		images.ServeHTTP(answer, q)
		if answer.Code != http.StatusCreated {
			l.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
		}
	}
	blob := func(kind string, body []byte) map[string]any {
		l.Helper()
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(body))
		send(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest, "application/octet-stream", body)
		return map[string]any{"mediaType": kind, "digest": digest, "size": len(body)}
	}
	layer := blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", archive)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": blob("application/vnd.cncf.helm.config.v1+json", metadata), "layers": []any{layer},
	})
	l.Must(err)
	send(http.MethodPut, "/v2/"+repository+"/manifests/"+version.Version, "application/vnd.oci.image.manifest.v1+json", manifest)
}
