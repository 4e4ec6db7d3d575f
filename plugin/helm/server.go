package helm

import (
	"fmt"

	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
)

// MinKubernetes is the first version with ValidatingAdmissionPolicy, on which
// the identity of users rests.
const MinKubernetes = "1.30"

// CheckServer refuses a server that is too old, before anything is made.
func CheckServer(d discovery.ServerVersionInterface) error {
	info, err := d.ServerVersion()
	if err != nil {
		return fmt.Errorf("ask the server for its version: %w", err)
	}
	server, err := utilversion.ParseGeneric(info.GitVersion)
	if err != nil {
		return fmt.Errorf("read the server's version %q: %w", info.GitVersion, err)
	}
	// A pre-release of 1.30 has what is needed: compare major and minor only.
	if min := utilversion.MustParseGeneric(MinKubernetes); server.Major() < min.Major() ||
		server.Major() == min.Major() && server.Minor() < min.Minor() {
		return fmt.Errorf("the server is Kubernetes %s, the %s needs %s or later (ValidatingAdmissionPolicy)",
			info.GitVersion, ReleaseName, MinKubernetes)
	}
	return nil
}
