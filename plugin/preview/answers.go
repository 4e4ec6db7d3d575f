package preview

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
)

// question is one of the four about the ingress.
type question struct {
	flag, text string
	// fallback is the answer that stands in the ingress already; "" is none.
	fallback func(*gateway.Ingress) string
	// take parses an answer and puts it into the ingress.
	take func(*gateway.Ingress, string) error
}

// questions returns the four in their order. Later ones depend on the answers to earlier
// ones.
func (c *chooser) questions() []question {
	return []question{
		{FlagHost, "Service of the ingress, NAME.NAMESPACE",
			func(to *gateway.Ingress) string { return to.Host },
			func(to *gateway.Ingress, text string) error { return c.takeHost(to, text) }},
		{FlagPort, "TCP port of that Service",
			func(to *gateway.Ingress) string { return strconv.Itoa(int(cmp.Or(to.Port, httpsPort))) },
			func(to *gateway.Ingress, text string) error { return c.takePort(to, text) }},
		{FlagTLS, "Does the ingress expect TLS there? y or n",
			func(to *gateway.Ingress) string { return map[bool]string{true: "y", false: "n"}[to.TLS] },
			takeTLS},
		{FlagL5Host, "Host name by which the ingress routes (L5 host: header Host, and TLS server name)",
			func(to *gateway.Ingress) string { return to.L5Host },
			takeL5Host},
	}
}

// takeHost also takes over what is known of that ingress.
func (c *chooser) takeHost(to *gateway.Ingress, text string) error {
	if len(validation.IsDNS1123Subdomain(text)) > 0 {
		return fmt.Errorf("%q is not the name of a Service: write NAME.NAMESPACE, for example ingress-nginx-controller.ingress-nginx", text)
	}
	if text == to.Host {
		return nil
	}
	*to = gateway.Ingress{Host: text, L5Host: to.L5Host}
	if i := slices.IndexFunc(c.candidates, func(x Candidate) bool { return x.named(text) }); i >= 0 {
		*to = c.candidates[i].Ingress
		to.Host = text
	}
	return nil
}

// named says whether a host is the candidate's Service.
func (c *Candidate) named(host string) bool {
	service, rest, _ := strings.Cut(host, ".")
	namespace, rest, _ := strings.Cut(rest, ".")
	return service == c.Service && namespace == c.Namespace && (rest == "" || rest == "svc" || strings.HasPrefix(rest, "svc."))
}

// takePort expects TLS at the usual ports of TLS.
func (c *chooser) takePort(to *gateway.Ingress, text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is not a port: write a number from 1 to 65535", text)
	}
	if port := uint16(n); port != to.Port {
		to.Port, to.TLS = port, port == httpsPort || port == 8443
	}
	return nil
}

func takeTLS(to *gateway.Ingress, text string) error {
	switch strings.ToLower(text) {
	case "y", "yes", "true":
		to.TLS = true
	case "n", "no", "false":
		to.TLS = false
	default:
		return fmt.Errorf("%q is neither y nor n", text)
	}
	return nil
}

func takeL5Host(to *gateway.Ingress, text string) error {
	if !isHost(text) {
		return fmt.Errorf("%q is not a host name: write it as in the address bar of a browser, for example shop.example.com", text)
	}
	to.L5Host = text
	return nil
}

// isHost says whether a text is a host name with or without a port.
func isHost(text string) bool {
	host, port, found := strings.Cut(text, ":")
	_, err := strconv.ParseUint(port, 10, 16)
	return len(validation.IsDNS1123Subdomain(strings.ToLower(host))) == 0 && (err == nil || !found)
}
