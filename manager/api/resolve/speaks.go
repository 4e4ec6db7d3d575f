package resolve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Speaks is what the callers of a port speak, as far as it is declared.
type Speaks int

// The protocols that make a difference.
const (
	Undeclared Speaks = iota
	HTTP              // of any version, and what is carried in it
	HTTPS             // the same in TLS
	Other             // never HTTP
)

// AppProtocol reads the appProtocol of a Service port. Names without a domain are those
// that IANA registers, and some that are in common use. A name of another domain than
// Kubernetes' says nothing here.
func AppProtocol(name string) Speaks {
	name, kubernetes := strings.CutPrefix(strings.ToLower(name), "kubernetes.io/")
	switch {
	case name == "":
		return Undeclared
	case slices.Contains([]string{"http", "http2", "h2c", "ws", "grpc", "grpc-web"}, name):
		return HTTP
	case slices.Contains([]string{"https", "h2", "wss", "grpcs"}, name):
		return HTTPS
	case kubernetes || strings.Contains(name, "/"):
		return Undeclared
	}
	return Other
}

// ByName guesses from the name of a port, which is "protocol" or "protocol-suffix".
func ByName(p v1alpha1.ResolvedPort) Speaks {
	name, _, _ := strings.Cut(cmp.Or(p.ServicePortName, p.ContainerPortName), "-")
	switch name {
	case "http", "http2", "grpc":
		return HTTP
	case "https":
		return HTTPS
	}
	return Undeclared
}

// CannotTellApart says why the HTTP requests of one of the ports cannot be told apart; nil
// if they can, as far as it is declared.
func CannotTellApart(w *Workload, ports []v1alpha1.ResolvedPort) error {
	wishes, err := ReadWishes(w.Annotations)
	if err != nil {
		return err
	}
	for _, p := range ports {
		declared := AppProtocol(p.AppProtocol)
		switch speaks := cmp.Or(declared, ByName(p)); {
		case speaks == Other:
			return fmt.Errorf("port %s of %s has the appProtocol %q, which is not HTTP: it has no requests that could be told apart", Identifier(p), w, p.AppProtocol)
		case speaks == HTTPS && wishes.TerminatingTLS == "":
			why := fmt.Sprintf("has the appProtocol %q", p.AppProtocol)
			hint := ""
			if declared == Undeclared {
				why, hint = "is named https", "; if it does not speak TLS, set appProtocol: http on the Service port"
			}
			return fmt.Errorf("port %s of %s %s: its requests cannot be told apart in TLS; annotate the pod template with %s: SECRET, "+
				"which has the certificate and key that callers are to see%s", Identifier(p), w, why, TerminatingTLSKey, hint)
		}
	}
	return nil
}
