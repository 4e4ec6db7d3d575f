package render

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func TestCurl(t *testing.T) {
	value := func(name, regexp string) []v1alpha1.MatchValue {
		return []v1alpha1.MatchValue{{Name: name, Regexp: regexp}}
	}
	quote := v1alpha1.ResolvedPort{Service: "quote", ServicePort: 80, ServicePortName: "http"}
	for _, test := range []struct {
		match v1alpha1.Match
		port  v1alpha1.ResolvedPort
		want  string
	}{
		{v1alpha1.Match{Headers: value("blog-demo-id", "louise")}, quote, "curl -H 'blog-demo-id: louise' http://quote.shop:80/"},
		{v1alpha1.Match{Headers: value("x-intercept-id", `0-1:a\.b`)}, quote, "curl -H 'x-intercept-id: 0-1:a.b' http://quote.shop:80/"},
		{v1alpha1.Match{Headers: value("x", "it's")}, quote, `curl -H 'x: it'\''s' http://quote.shop:80/`},
		{v1alpha1.Match{Baggage: []v1alpha1.MatchValue{{Name: "user", Regexp: "a,b c"}, {Name: "team", Regexp: "web"}}}, quote,
			"curl -H 'baggage: user=a%2Cb%20c,team=web' http://quote.shop:80/"},
		{v1alpha1.Match{Tracestate: value("acme", "1")}, quote, "curl -H 'tracestate: acme=1' http://quote.shop:80/"},
		{v1alpha1.Match{Cookies: value("user", "alice")}, quote, "curl -b user=alice http://quote.shop:80/"},
		{v1alpha1.Match{Paths: []v1alpha1.MatchPath{{Prefix: "/api"}}, QueryParams: value("q", "a&b"), Method: "POST"}, quote,
			"curl -X POST 'http://quote.shop:80/api?q=a%26b'"},
		{v1alpha1.Match{Method: "HEAD"}, quote, "curl -I http://quote.shop:80/"},
		{v1alpha1.Match{Method: "GET"}, v1alpha1.ResolvedPort{Service: "quote", ServicePort: 443}, "curl https://quote.shop:443/"},
		{v1alpha1.Match{Method: "GET"}, v1alpha1.ResolvedPort{Service: "quote", ServicePort: 443, ServicePortName: "https"}, "curl https://quote.shop:443/"},
		{v1alpha1.Match{Method: "GET"}, v1alpha1.ResolvedPort{Service: "quote", ServicePort: 8443, AppProtocol: "kubernetes.io/wss"}, "curl https://quote.shop:8443/"},
		{v1alpha1.Match{Method: "GET"}, v1alpha1.ResolvedPort{Service: "quote", ServicePort: 8443, AppProtocol: "HTTPS"}, "curl https://quote.shop:8443/"},
		{v1alpha1.Match{Method: "GET"}, v1alpha1.ResolvedPort{Service: "quote", ServicePort: 443, AppProtocol: "kubernetes.io/h2c"}, "curl http://quote.shop:443/"},
		{v1alpha1.Match{Method: "GET"}, v1alpha1.ResolvedPort{Service: "quote", ServicePort: 3306, AppProtocol: "mysql"}, ""},
		{v1alpha1.Match{Method: "GET"}, v1alpha1.ResolvedPort{Service: "quote", ServicePort: 80, AppProtocol: "grpc-web"}, ""},
		// What does not say one text, or whose URL is not known.
		{v1alpha1.Match{}, quote, ""},
		{v1alpha1.Match{Headers: value("x", "a|bc")}, quote, ""},
		{v1alpha1.Match{Headers: value("x", "(?i)louise")}, quote, ""},
		{v1alpha1.Match{Headers: value("x", `a\nb`)}, quote, ""},
		{v1alpha1.Match{Tracestate: value("acme", "a,b")}, quote, ""},
		{v1alpha1.Match{Cookies: value("a", "b;c")}, quote, ""},
		{v1alpha1.Match{Paths: []v1alpha1.MatchPath{{Prefix: "/api"}, {Prefix: "/api/v1"}}}, quote, ""},
		{v1alpha1.Match{Headers: value("x", "1")}, v1alpha1.ResolvedPort{ContainerPort: 8080}, ""},
		{v1alpha1.Match{Headers: value("x", "1")}, v1alpha1.ResolvedPort{Service: "quote", ServicePort: 80, AppProtocol: "grpc"}, ""},
	} {
		i := &v1alpha1.Intercept{}
		i.Namespace = "shop"
		i.Spec.Match = &test.match
		i.Status.Ports = []v1alpha1.ResolvedPort{test.port}
		if got := Curl(i); got != test.want {
			t.Errorf("%+v: %q, want %q", test.match, got, test.want)
		}
	}
}
