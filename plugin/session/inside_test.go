package session

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"testing"

	"k8s.io/client-go/rest"
)

func TestHosts(t *testing.T) {
	via := func(text string) func(*http.Request) (*url.URL, error) {
		return func(*http.Request) (*url.URL, error) { return url.Parse(text) }
	}
	for _, c := range []struct {
		host, proxy  string
		hosts, names []string
	}{
		{"https://192.0.2.1:6443", "", []string{"192.0.2.1"}, nil},
		{"https://api.shop:6443/prefix", "", []string{"api.shop"}, []string{"api.shop"}},
		{"https://[2001:db8::1]", "socks5://jump.dev:1080", []string{"2001:db8::1", "jump.dev"}, []string{"jump.dev"}},
	} {
		cfg := &rest.Config{Host: c.host}
		if c.proxy != "" {
			cfg.Proxy = via(c.proxy)
		}
		p := &process{cfg: cfg}
		if got := p.hosts(); !slices.Equal(got, c.hosts) || !slices.Equal(names(got), c.names) {
			t.Errorf("%s through %q: %q, names %q", c.host, c.proxy, got, names(got))
		}
	}
}

// The environment is read once in a process: this one is another.
func TestHostsOfTheEnvironment(t *testing.T) {
	const child = "SESSION_TEST_HOSTS"
	if os.Getenv(child) != "" {
		p := &process{cfg: &rest.Config{Host: "https://api.shop:6443"}}
		if got := p.hosts(); !slices.Equal(got, []string{"api.shop", "proxy.corp"}) {
			t.Errorf("%q", got)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"=1", "HTTPS_PROXY=http://proxy.corp:3128", "NO_PROXY=", "no_proxy=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
