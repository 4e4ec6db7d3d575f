package render

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// Curl is a command that sends a request which a personal intercept takes. It is empty if
// the conditions do not spell such a request out, or if no Service leads to the ports.
func Curl(i *v1alpha1.Intercept) string {
	base := address(i)
	conditions := i.Spec.Match.Conditions()
	if base == "" || len(conditions) == 0 {
		return ""
	}
	r := request{path: "/"}
	for _, c := range conditions {
		if !r.meet(c) {
			return ""
		}
	}
	return r.command(base)
}

// address is the beginning of the URL of an intercept's first port that has a Service and
// speaks what curl does.
func address(i *v1alpha1.Intercept) string {
	for _, p := range i.Status.Ports {
		if p.Service == "" || p.Protocol == corev1.ProtocolUDP || strings.Contains(p.AppProtocol, "grpc") {
			continue
		}
		speaks := resolve.AppProtocol(p.AppProtocol)
		if speaks == resolve.Undeclared {
			speaks = resolve.ByName(p)
		}
		if speaks == resolve.Undeclared && p.ServicePort == 443 {
			speaks = resolve.HTTPS
		}
		scheme := "http"
		switch speaks {
		case resolve.Other:
			continue
		case resolve.HTTPS:
			scheme = "https"
		}
		return fmt.Sprintf("%s://%s.%s:%d", scheme, p.Service, i.Namespace, p.ServicePort)
	}
	return ""
}

// request is what curl sends.
type request struct {
	method, path                        string
	headers, baggage, tracestate, query []string
	cookies                             []string
}

// meet has the request meet a condition. It returns false if the condition does not say
// which text does, or if another condition needs another text.
func (r *request) meet(c match.Condition) bool {
	value := c.Value
	if c.Op == match.Regexp {
		var ok bool
		if value, ok = literal(value); !ok {
			return false
		}
	}
	switch c.Part {
	case match.Header:
		r.headers = append(r.headers, c.Name+": "+value)
	case match.Baggage:
		r.baggage = append(r.baggage, c.Name+"="+url.PathEscape(value))
	case match.Tracestate:
		r.tracestate = append(r.tracestate, c.Name+"="+value)
		return !strings.ContainsAny(value, ",=")
	case match.Cookie:
		r.cookies = append(r.cookies, c.Name+"="+value)
		return !strings.ContainsAny(value, ";, \"\\")
	case match.Query:
		r.query = append(r.query, url.QueryEscape(c.Name)+"="+url.QueryEscape(value))
	case match.Path:
		was := r.path
		r.path = value
		return was == "/" && strings.HasPrefix(value, "/") && !strings.ContainsAny(value, "?# ")
	case match.Method:
		r.method = value
	}
	return true
}

// literal is the only text that an expression matches, if there is only one.
func literal(expression string) (string, bool) {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil || re.Op != syntax.OpLiteral || re.Flags&syntax.FoldCase != 0 || slices.ContainsFunc(re.Rune, unicode.IsControl) {
		return "", false
	}
	return string(re.Rune), true
}

func (r *request) command(base string) string {
	words := []string{"curl"}
	switch r.method {
	case "", http.MethodGet:
	case http.MethodHead:
		words = append(words, "-I")
	default:
		words = append(words, "-X", quote(r.method))
	}
	headers := r.headers
	for _, list := range []struct {
		name    string
		members []string
	}{{"baggage", r.baggage}, {"tracestate", r.tracestate}} {
		if len(list.members) > 0 {
			headers = append(headers, list.name+": "+strings.Join(list.members, ","))
		}
	}
	for _, h := range headers {
		words = append(words, "-H", quote(h))
	}
	if len(r.cookies) > 0 {
		words = append(words, "-b", quote(strings.Join(r.cookies, "; ")))
	}
	target := base + r.path
	if len(r.query) > 0 {
		target += "?" + strings.Join(r.query, "&")
	}
	return strings.Join(append(words, quote(target)), " ")
}
