package credentials

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// Credentials are a client configuration that needs no file, no plugin and no environment.
// They are secret and stay in memory. There is a field for each setting of a kubeconfig that
// matters here.
type Credentials struct {
	// Host is the API server's URL, Proxy that of what leads there.
	Host  string
	Proxy string `json:",omitempty"`

	Token, Username, Password string
	Impersonate               rest.ImpersonationConfig
	Insecure                  bool
	ServerName                string
	CA, Cert, Key             []byte
	DisableCompression        bool

	// Plugin issued Token, or Cert and Key.
	Plugin *clientcmdapi.ExecConfig `json:",omitempty"`
	// Provider logs in by itself, where the kubeconfig says so in the old way. It
	// writes what it gets into the kubeconfig.
	Provider *clientcmdapi.AuthProviderConfig `json:",omitempty"`

	persister rest.AuthProviderConfigPersister
}

// Issued is what a credential plugin gives.
type Issued struct {
	Token     string
	Cert, Key []byte
}

// Of resolves a client configuration: files are read, the proxy is looked up in
// env. A plugin's part is missing; see Issue.
func Of(cfg *rest.Config, env []string) (*Credentials, error) {
	cfg = rest.CopyConfig(cfg)
	if err := rest.LoadTLSFiles(cfg); err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	u, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	c := &Credentials{Host: strings.TrimSuffix(u.String(), "/"), Token: cfg.BearerToken, Username: cfg.Username, Password: cfg.Password,
		Impersonate: cfg.Impersonate, Insecure: cfg.Insecure, ServerName: cfg.ServerName, CA: cfg.CAData, Cert: cfg.CertData, Key: cfg.KeyData,
		DisableCompression: cfg.DisableCompression, Provider: cfg.AuthProvider, persister: cfg.AuthConfigPersister}
	if cfg.BearerTokenFile != "" {
		b, err := os.ReadFile(cfg.BearerTokenFile)
		if err != nil {
			return nil, fmt.Errorf("read kubeconfig: %w", err)
		}
		c.Token = string(bytes.TrimSpace(b))
	}
	// What is given otherwise overrules a plugin, as for kubectl.
	if cfg.ExecProvider != nil && c.Token == "" && c.Username == "" && len(c.Cert) == 0 {
		c.Plugin = cfg.ExecProvider
	}
	via, err := proxy(cfg, u, env)
	if err != nil {
		return nil, fmt.Errorf("find the proxy to the API server: %w", err)
	}
	if via != nil {
		c.Proxy = via.String()
	}
	return c, nil
}

// proxy is what leads to the API server: the kubeconfig's, or else the
// environment's.
func proxy(cfg *rest.Config, u *url.URL, env []string) (*url.URL, error) {
	if cfg.Proxy != nil {
		return cfg.Proxy(&http.Request{URL: u})
	}
	get := func(name string) string {
		for _, name := range []string{name, strings.ToLower(name)} {
			for _, kv := range env {
				if n, v, _ := strings.Cut(kv, "="); n == name && v != "" {
					return v
				}
			}
		}
		return ""
	}
	c := httpproxy.Config{HTTPProxy: get("HTTP_PROXY"), HTTPSProxy: get("HTTPS_PROXY"), NoProxy: get("NO_PROXY")}
	return c.ProxyFunc()(u)
}

// take puts what a plugin issued in its place.
func (c *Credentials) take(i *Issued) { c.Token, c.Cert, c.Key = i.Token, i.Cert, i.Key }

// issued is the part of the plugin.
func (c *Credentials) issued() *Issued { return &Issued{c.Token, c.Cert, c.Key} }

// same compares all that can be handed over.
func (c *Credentials) same(o *Credentials) bool {
	a, aerr := json.Marshal(c)
	b, berr := json.Marshal(o)
	return aerr == nil && berr == nil && bytes.Equal(a, b)
}

// Config is a client configuration of them.
func (c *Credentials) Config() (*rest.Config, error) {
	cfg := kube.Tune(&rest.Config{Host: c.Host, BearerToken: c.Token, Username: c.Username, Password: c.Password, Impersonate: c.Impersonate,
		AuthProvider: c.Provider, AuthConfigPersister: c.persister, DisableCompression: c.DisableCompression, WarningHandler: rest.NoWarnings{},
		TLSClientConfig: rest.TLSClientConfig{Insecure: c.Insecure, ServerName: c.ServerName, CAData: c.CA, CertData: c.Cert, KeyData: c.Key}})
	var via *url.URL
	if c.Proxy != "" {
		var err error
		if via, err = url.Parse(c.Proxy); err != nil {
			return nil, err
		}
	}
	cfg.Proxy = http.ProxyURL(via)
	return cfg, nil
}
