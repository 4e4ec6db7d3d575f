package connect

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// PrintVariables prints what a shell evaluates.
func PrintVariables(w io.Writer, n *session.Network, outside []string) error {
	var b strings.Builder
	for _, v := range Variables(n, outside) {
		fmt.Fprintf(&b, "export %s=%s\n", v[0], quote(v[1]))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Variables are the name and value of what programs find a proxy by, and which
// hosts they reach without it. Many know only one spelling. The last one tells a
// session which proxy not to use itself.
func Variables(n *session.Network, outside []string) [][2]string {
	http, socks := "http://"+n.Proxy, "socks5h://"+n.Proxy
	var hosts []string
	for _, h := range append([]string{"localhost", "127.0.0.1", "::1"}, outside...) {
		if h = strings.TrimSpace(h); h != "" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	none := strings.Join(hosts, ",")
	return [][2]string{
		{"http_proxy", http}, {"https_proxy", http}, {"all_proxy", socks}, {"no_proxy", none},
		{"HTTP_PROXY", http}, {"HTTPS_PROXY", http}, {"ALL_PROXY", socks}, {"NO_PROXY", none},
		{session.ProxyEnv, n.Proxy},
	}
}

// outside are the API server and what programs reach without a proxy already.
func (o *Options) outside() []string {
	var list []string
	if cfg, err := o.factory.ToRESTConfig(); err == nil {
		if u, _, err := rest.DefaultServerUrlFor(cfg); err == nil {
			list = append(list, u.Hostname())
		}
	}
	return append(list, spared(os.Getenv("NO_PROXY")+","+os.Getenv("no_proxy"))...)
}

// spared are the hosts of a no_proxy. What would keep the cluster's own names
// from this proxy was said of another one.
func spared(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(h string) bool {
		h = "." + strings.Trim(strings.ToLower(h), " .*")
		return h == "." || strings.HasSuffix(h, ".svc") || strings.HasSuffix(h, ".cluster.local")
	})
}

// quote is a word for a shell.
func quote(s string) string {
	special := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("-_.,:/", r)
	}
	if !strings.ContainsFunc(s, special) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
