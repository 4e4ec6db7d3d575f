package access

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/credentials"
)

func TestHosts(t *testing.T) {
	via := func(text string) func(*http.Request) (*url.URL, error) {
		return func(*http.Request) (*url.URL, error) { return url.Parse(text) }
	}
	for _, c := range []struct {
		host, proxy  string
		env          []string
		hosts, names []string
	}{
		{"https://192.0.2.1:6443", "", nil, []string{"192.0.2.1"}, nil},
		{"https://api.shop:6443/prefix", "", nil, []string{"api.shop"}, []string{"api.shop"}},
		{"https://[2001:db8::1]", "socks5://jump.dev:1080", nil, []string{"2001:db8::1", "jump.dev"}, []string{"jump.dev"}},
		{"https://api.shop:6443", "", []string{"HTTPS_PROXY=http://proxy.corp:3128"}, []string{"api.shop", "proxy.corp"}, []string{"api.shop", "proxy.corp"}},
		{"https://api.shop:6443", "", []string{"https_proxy=http://proxy.corp:3128", "no_proxy=.shop"}, []string{"api.shop"}, []string{"api.shop"}},
		{"https://api.shop:6443", "http://jump.dev", []string{"HTTPS_PROXY=http://proxy.corp:3128"}, []string{"api.shop", "jump.dev"}, []string{"api.shop", "jump.dev"}},
	} {
		cfg := &rest.Config{Host: c.host}
		if c.proxy != "" {
			cfg.Proxy = via(c.proxy)
		}
		creds, err := credentials.Of(cfg, c.env)
		if err != nil {
			t.Fatal(err)
		}
		source, err := credentials.NewSource(t.Context(), creds, credentials.Origin{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s := &apiServer{config: source.Config}
		if got := s.hosts(); !slices.Equal(got, c.hosts) || !slices.Equal(hostNames(got), c.names) {
			t.Errorf("%s through %q, %q: %q, names %q", c.host, c.proxy, c.env, got, hostNames(got))
		}
	}
}
