// Package gateway is the HTTP gateway of a preview: it leads a browser to an ingress of
// the cluster, and adds to each request what an intercept matches on. The traffic-manager
// serves it under a preview URL, and the plugin on localhost.
package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	// idleTimeout is how long a connection to the ingress waits for the next request.
	idleTimeout = 90 * time.Second
	// maxIdle bounds the connections that wait.
	maxIdle = 16
)

// Ingress is where requests enter the cluster.
type Ingress struct {
	// Host is the name of the ingress's Service, and Port one of its ports.
	Host string
	Port uint16
	// TLS says that the ingress expects TLS at that port. The gateway does not verify the
	// certificate, which is seldom for a name inside the cluster. The Service's name
	// says where the connection goes.
	TLS bool
	// L5Host is the host name by which the ingress routes. The gateway sends it in the
	// header Host, and in the TLS handshake.
	L5Host string
}

// Address is the Host and Port as one text.
func (i Ingress) Address() string {
	return net.JoinHostPort(i.Host, strconv.Itoa(int(i.Port)))
}

// scheme is that of URLs at the ingress.
func (i Ingress) scheme() string { return scheme(i.TLS) }

func scheme(tls bool) string {
	if tls {
		return "https"
	}
	return "http"
}

// Config is what a Gateway needs.
type Config struct {
	Ingress Ingress
	Marks   Marks
	// Dial connects to Ingress.Address.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS says that visitors use URLs with https.
	TLS bool
	// Cookies are the names of cookies that the ingress does not get, because they are
	// between the visitor and the gateway's caller.
	Cookies []string
	// Failed answers a request that got no answer from the ingress.
	Failed func(http.ResponseWriter, *http.Request, error)
	Log    *slog.Logger
}

// Gateway is an http.Handler. The caller must close it.
type Gateway struct {
	cfg       Config
	proxy     *httputil.ReverseProxy
	transport *http.Transport
	// ctx ends when the Gateway is closed, and with it each request.
	ctx context.Context
	end context.CancelFunc
}

// New returns a Gateway.
func New(cfg Config) *Gateway {
	g := &Gateway{cfg: cfg}
	g.ctx, g.end = context.WithCancel(context.Background())
	g.transport = &http.Transport{
		DialContext:         cfg.Dial,
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     idleTimeout,
		MaxIdleConnsPerHost: maxIdle,
		DisableCompression:  true, // the visitor decides, and decompresses
		TLSClientConfig:     &tls.Config{ServerName: Hostname(cfg.Ingress.L5Host), InsecureSkipVerify: true},
	}
	g.proxy = &httputil.ReverseProxy{
		Rewrite:        g.request,
		ModifyResponse: g.response,
		ErrorHandler:   g.failed,
		Transport:      g.transport,
		FlushInterval:  -1, // answers may be streams of events
		ErrorLog:       slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return g
}

// Close ends all requests, WebSockets among them.
func (g *Gateway) Close() {
	g.end()
	g.transport.CloseIdleConnections()
}

// loop is what a gateway adds to the header CDN-Loop (RFC 8586).
const loop = "kubectl-intercept"

// visitor is the key of the request's context under which the host is that the visitor
// sees.
type visitor struct{}

// ServeHTTP passes a request to the ingress. It refuses one that has come by a gateway
// already: the ingress may lead back here.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if slices.ContainsFunc(r.Header.Values("CDN-Loop"), func(v string) bool { return strings.Contains(v, loop) }) {
		http.Error(w, "the ingress leads back to the preview", http.StatusLoopDetected)
		return
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), visitor{}, r.Host))
	defer cancel()
	stop := context.AfterFunc(g.ctx, cancel)
	defer stop()
	g.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// request makes the request that the ingress gets out of the visitor's.
func (g *Gateway) request(p *httputil.ProxyRequest) {
	to := g.cfg.Ingress
	p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = to.scheme(), to.Address(), to.L5Host
	p.Out.URL.RawQuery = p.In.URL.RawQuery // with parameters that Go would not parse
	p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
	p.SetXForwarded()
	// Applications compare Origin with Host, or with the origin that X-Forwarded-Host and
	// X-Forwarded-Proto name: all say the same. An application that redirects to https is
	// content if one of the two connections has TLS. A page of another port is another
	// origin.
	l5 := &url.URL{Scheme: scheme(g.cfg.TLS || to.TLS), Host: to.L5Host}
	p.Out.Header.Set("X-Forwarded-Host", l5.Host)
	p.Out.Header.Set("X-Forwarded-Proto", l5.Scheme)
	own := func(host string) bool { return strings.EqualFold(host, p.In.Host) }
	for _, name := range []string{"Origin", "Referer"} {
		replaceHost(p.Out.Header, name, own, l5)
	}
	p.Out.Header.Add("CDN-Loop", loop)
	removeCookies(p.Out.Header, g.cfg.Cookies)
	g.cfg.Marks.add(p.Out.Header)
}

// failed answers for an ingress that did not.
func (g *Gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	g.cfg.Log.Debug("preview", "ingress", g.cfg.Ingress.Address(), "error", err)
	Unlisted(w.Header())
	g.cfg.Failed(w, r, err)
}

// Hostname returns a host without its port.
func Hostname(host string) string { return (&url.URL{Host: host}).Hostname() }
