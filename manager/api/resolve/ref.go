package resolve

import (
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// RefString is how people name a workload: "deployment/quote".
func RefString(ref v1alpha1.WorkloadReference) string {
	return strings.ToLower(ref.Kind) + "/" + ref.Name
}
