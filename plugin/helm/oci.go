package helm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/registry"
)

// pull reads a chart from a registry, with the credentials of `helm registry
// login` or `docker login`. It keeps nothing on disk.
func pull(ctx context.Context, s ChartSource) (*helmchart.Chart, error) {
	type result struct {
		chart *helmchart.Chart
		err   error
	}
	// Helm's client takes no context.
	done := make(chan result, 1)
	go func() {
		c, err := pullChart(s)
		done <- result{c, err}
	}()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("pull chart %s: %w", s.Path, ctx.Err())
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("pull chart %s: %w", s.Path, ofWeb(r.err))
		}
		return r.chart, nil
	}
}

func pullChart(s ChartSource) (*helmchart.Chart, error) {
	client, err := s.registry()
	if err != nil {
		return nil, err
	}
	ref, err := url.Parse(s.Path)
	if err != nil {
		return nil, err
	}
	if ref.Host == "" || strings.Trim(ref.Path, "/") == "" {
		return nil, fmt.Errorf("it names no repository: oci://REGISTRY/PATH/%s", ReleaseName)
	}
	at, err := client.ValidateReference(s.Path, s.Version, ref)
	if err != nil {
		return nil, err
	}
	pulled, err := client.Pull(strings.TrimPrefix(at.String(), registry.OCIScheme+"://"))
	if err != nil {
		return nil, err
	}
	return loader.LoadArchive(bytes.NewReader(pulled.Chart.Data))
}

func (s ChartSource) registry() (*registry.Client, error) {
	options := []registry.ClientOption{registry.ClientOptCredentialsFile(cli.New().RegistryConfig)}
	if s.PlainHTTP {
		options = append(options, registry.ClientOptPlainHTTP())
	}
	if s.CAFile != "" {
		client, err := trusting(s.CAFile)
		if err != nil {
			return nil, err
		}
		options = append(options, registry.ClientOptHTTPClient(client))
	}
	return registry.NewClient(options...)
}

// trusting is an HTTP client that trusts the certificates of a file.
func trusting(caFile string) (*http.Client, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read --ca-file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca-file %s has no certificate in PEM", caFile)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport}, nil
}

// ofWeb names the server that could not be reached. Everywhere else that is the
// API server, as errors of this type are read.
func ofWeb(err error) error {
	var at *url.Error
	if !errors.As(err, &at) {
		return err
	}
	host := at.URL
	if u, perr := url.Parse(at.URL); perr == nil && u.Host != "" {
		host = u.Host
	}
	return fmt.Errorf("cannot reach %s: %w", host, at.Err)
}
