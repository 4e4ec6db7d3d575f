package carrier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// ServiceProxy reaches the manager through the API server's proxy to its
// Service: one hop, and no more permission than "get" on services/proxy.
type ServiceProxy struct {
	access                    Access
	namespace, path, protocol string
	sockets                   *sockets

	mu  sync.Mutex
	now *proxyClient
}

// proxyClient is a ServiceProxy with one configuration.
type proxyClient struct {
	cfg       *rest.Config
	transport http.RoundTripper
	url       *url.URL
}

// ProxiedService is the port "tunnel" of the Service traffic-manager, as the API server's
// proxy and RBAC name it. The API server sends bytes there without TLS, since carriers and
// lines bring TLS of their own.
const ProxiedService = "http:" + managerName + ":tunnel"

// NewServiceProxy is for carriers.
func NewServiceProxy(access Access, namespace string) (*ServiceProxy, error) {
	return newServiceProxy(access, namespace, handshake.UpgradePath, handshake.UpgradeProtocol)
}

// NewLineProxy is for lines.
func NewLineProxy(access Access, namespace string) (*ServiceProxy, error) {
	return newServiceProxy(access, namespace, handshake.LineUpgradePath, handshake.LineUpgradeProtocol)
}

func newServiceProxy(access Access, namespace, path, protocol string) (*ServiceProxy, error) {
	p := &ServiceProxy{access: access, namespace: namespace, path: path, protocol: protocol, sockets: &sockets{}}
	_, err := p.client(access.Config())
	return p, err
}

// client returns the client of a configuration.
func (p *ServiceProxy) client(cfg *rest.Config) (*proxyClient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil && p.now.cfg == cfg {
		return p.now, nil
	}
	u, err := resourceURL(cfg, "namespaces", p.namespace, "services", ProxiedService, "proxy"+p.path)
	if err != nil {
		return nil, err
	}
	t, err := newTransport(cfg, p.sockets)
	if err != nil {
		return nil, err
	}
	// Bearer tokens, exec credentials, impersonation.
	wrapped, err := rest.HTTPWrappersForConfig(cfg, t)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	p.now = &proxyClient{cfg, wrapped, u}
	return p.now, nil
}

// resourceURL is the URL of a path below /api/v1 of the API server, which may
// itself live under a path.
func resourceURL(cfg *rest.Config, path ...string) (*url.URL, error) {
	u, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	u = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}
	u.Path += "/api/v1/" + strings.Join(path, "/")
	return u, nil
}

// newTransport speaks HTTP/1.1, for an Upgrade, and TLS with records of full size from
// the start. It adds its connections to all.
func newTransport(cfg *rest.Config, all *sockets) (*http.Transport, error) {
	tlsCfg, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	if tlsCfg == nil {
		tlsCfg = &tls.Config{}
	}
	tlsCfg.NextProtos = []string{"http/1.1"}
	tlsCfg.DynamicRecordSizingDisabled = true
	tlsCfg.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	dial := dialServer
	if cfg.Dial != nil {
		dial = cfg.Dial
	}
	return &http.Transport{
		Proxy:           ProxyOf(cfg),
		TLSClientConfig: tlsCfg,
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			all.add(c)
			return record.NewConn(c), nil
		},
		DisableCompression: true,
		IdleConnTimeout:    attemptTimeout,
	}, nil
}

// ProxyOf returns the proxy to the API server: that of the kubeconfig, or else that of
// the environment.
func ProxyOf(cfg *rest.Config) func(*http.Request) (*url.URL, error) {
	if cfg.Proxy != nil {
		return cfg.Proxy
	}
	return http.ProxyFromEnvironment
}

// Name is ViaService.
func (p *ServiceProxy) Name() string { return ViaService }

// Drop closes every connection that Dial returned: the network below them has changed,
// and they may not notice.
func (p *ServiceProxy) Drop() { p.sockets.drop() }

// Dial implements Transport.
func (p *ServiceProxy) Dial(ctx context.Context) (net.Conn, error) {
	return persist(ctx, p.access, func(cfg *rest.Config) (net.Conn, error) { return p.dial(ctx, cfg) })
}

func (p *ServiceProxy) dial(ctx context.Context, cfg *rest.Config) (net.Conn, error) {
	c, err := p.client(cfg)
	if err != nil {
		return nil, err
	}
	var raw net.Conn
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { raw = info.Conn },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url.String(), nil)
	if err != nil {
		return nil, err
	}
	upgradeHeaders(req, p.protocol)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("connect through the API server: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer resp.Body.Close()
		return nil, refusal(ViaService, resp)
	}
	rw, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || raw == nil || !upgraded(resp, p.protocol) {
		resp.Body.Close()
		return nil, &NotPossibleError{ViaService, errors.New("the answer to the Upgrade request is not the traffic-manager's")}
	}
	return newUpgradedConn(rw, raw), nil
}
