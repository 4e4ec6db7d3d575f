package helm

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	images "github.com/google/go-containerregistry/pkg/registry"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/registry"
)

// pack writes the chart as an archive, with another version.
func pack(t *testing.T, version string) string {
	t.Helper()
	c, err := LoadChart(t.Context(), ChartSource{})
	if err != nil {
		t.Fatal(err)
	}
	c.chart.Metadata.Version = version
	path, err := chartutil.Save(c.chart, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadArchive(t *testing.T) {
	path := pack(t, "0.1.0")
	packed, err := LoadChart(t.Context(), ChartSource{Path: path, Version: "0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	builtIn, err := LoadChart(t.Context(), ChartSource{})
	if err != nil {
		t.Fatal(err)
	}
	var manifests []string
	for _, c := range []*Chart{packed, builtIn} {
		r, err := Render(t.Context(), "team-a", Options{Chart: c})
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, r.Manifest)
	}
	if manifests[0] != manifests[1] {
		t.Error("the archive renders differently")
	}
}

// A chart comes from a registry, over HTTP or with a certificate of its own.
func TestPull(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("HELM_CONFIG_HOME", t.TempDir())
	handler := images.New(images.Logger(log.New(io.Discard, "", 0)))
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	host := strings.TrimPrefix(plain.URL, "http://")
	push(t, host, "0.1.0", "0.2.0")

	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := httptest.NewServer(handler)
	closed := strings.TrimPrefix(nobody.URL, "http://")
	nobody.Close()
	insecure := "oci://" + host + "/charts/traffic-manager"
	withCA := "oci://" + strings.TrimPrefix(secure.URL, "https://") + "/charts/traffic-manager"
	for _, tt := range []struct {
		name    string
		source  ChartSource
		version string
		wantErr string // in it
	}{
		{name: "latest", source: ChartSource{Path: insecure, PlainHTTP: true}, version: "0.2.0"},
		{name: "version", source: ChartSource{Path: insecure, Version: "0.1.0", PlainHTTP: true}, version: "0.1.0"},
		{name: "tag", source: ChartSource{Path: insecure + ":0.1.0", PlainHTTP: true}, version: "0.1.0"},
		{name: "range", source: ChartSource{Path: insecure, Version: "<0.2", PlainHTTP: true}, version: "0.1.0"},
		{name: "certificate", source: ChartSource{Path: withCA, CAFile: ca}, version: "0.2.0"},
		{name: "no such version", source: ChartSource{Path: insecure, Version: "^3", PlainHTTP: true}, wantErr: "version string ^3"},
		{name: "unknown authority", source: ChartSource{Path: withCA}, wantErr: "certificate signed by unknown authority"},
		{name: "nobody there", source: ChartSource{Path: "oci://" + closed + "/charts/traffic-manager", PlainHTTP: true}, wantErr: "cannot reach " + closed + ": "},
		{name: "no such file", source: ChartSource{Path: withCA, CAFile: "none"}, wantErr: "read --ca-file: open none"},
	} {
		c, err := LoadChart(t.Context(), tt.source)
		var request *url.Error
		if errors.As(err, &request) {
			t.Errorf("%s: %v would be taken for the API server's", tt.name, err)
		}
		if tt.wantErr != "" {
			if !strings.HasPrefix(message(err), "pull chart oci://") || !strings.Contains(message(err), tt.wantErr) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.wantErr)
			}
			continue
		}
		if err != nil || c.chart.Metadata.Version != tt.version {
			t.Errorf("%s: %v, want version %s", tt.name, err, tt.version)
		}
	}
}

func push(t *testing.T, host string, versions ...string) {
	t.Helper()
	client, err := registry.NewClient(registry.ClientOptPlainHTTP(), registry.ClientOptHTTPClient(http.DefaultClient))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		data, err := os.ReadFile(pack(t, v))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Push(data, host+"/charts/traffic-manager:"+v); err != nil {
			t.Fatal(err)
		}
	}
}
