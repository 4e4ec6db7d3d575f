package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Unlisted asks search engines to keep an answer out of their index, and browsers to
// tell no other site the preview's URL, since the URL admits to the preview.
func Unlisted(h http.Header) {
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Referrer-Policy", "same-origin")
}

// response makes the answer that the visitor gets out of the ingress's. It returns an error
// for one that would have the visitor come again without end.
func (g *Gateway) response(resp *http.Response) error {
	if g.wantsTLS(resp) {
		return fmt.Errorf("%s redirects to https: enter at its port for TLS, with --preview-tls", g.cfg.Ingress.Address())
	}
	Unlisted(resp.Header)
	seen, _ := resp.Request.Context().Value(visitor{}).(string)
	to := &url.URL{Scheme: scheme(g.cfg.TLS), Host: seen}
	// A redirect from port 80 to port 443 of the L5 host stays in the preview, too.
	l5 := func(host string) bool { return strings.EqualFold(Hostname(host), Hostname(g.cfg.Ingress.L5Host)) }
	for _, name := range []string{"Location", "Content-Location", "Access-Control-Allow-Origin"} {
		replaceHost(resp.Header, name, l5, to)
	}
	for i, cookie := range resp.Header["Set-Cookie"] {
		resp.Header["Set-Cookie"][i] = ownCookie(cookie, g.cfg.TLS)
	}
	return nil
}

// wantsTLS reports whether an answer does no more than to redirect from http to https. The
// visitor, to whom both are the preview's URL, would ask again and get the same answer.
func (g *Gateway) wantsTLS(resp *http.Response) bool {
	asked := resp.Request
	if g.cfg.Ingress.TLS || resp.StatusCode/100 != 3 || len(resp.Header["Set-Cookie"]) > 0 || asked.Method != http.MethodGet && asked.Method != http.MethodHead {
		return false
	}
	to, err := url.Parse(resp.Header.Get("Location"))
	return err == nil && to.Scheme == "https" && strings.EqualFold(to.Hostname(), Hostname(g.cfg.Ingress.L5Host)) &&
		to.EscapedPath() == asked.URL.EscapedPath() && to.RawQuery == asked.URL.RawQuery
}

// replaceHost changes scheme and host of the URL in a header field, if its host, which may
// have a port, is the one to replace.
func replaceHost(h http.Header, name string, replace func(host string) bool, to *url.URL) {
	u, err := url.Parse(h.Get(name))
	if err != nil || u.Host == "" || !replace(u.Host) {
		return
	}
	u.Scheme, u.Host = to.Scheme, to.Host
	h.Set(name, u.String())
}

// ownCookie makes a cookie (RFC 6265) that the application sets one of the preview's host
// alone. A browser would refuse a cookie for the L5 host's domain here, and a cookie for
// a parent domain would reach other previews. Without TLS, some browsers refuse what is
// meant for TLS. A name that begins with __Secure- or __Host- stays as it is: without the
// attribute Secure, every browser would refuse it.
func ownCookie(cookie string, tls bool) string {
	parts := strings.Split(cookie, ";")
	name := strings.ToLower(nameOf(parts[0]))
	tls = tls || strings.HasPrefix(name, "__secure-") || strings.HasPrefix(name, "__host-")
	parts = slices.DeleteFunc(parts, func(part string) bool {
		name, value, _ := strings.Cut(part, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "domain":
			return true
		case "secure", "partitioned":
			return !tls
		case "samesite":
			return !tls && strings.EqualFold(strings.TrimSpace(value), "none")
		}
		return false
	})
	return strings.Join(parts, ";")
}
