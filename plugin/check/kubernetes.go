package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

func (e *Env) kubernetesChecks() []Check {
	return []Check{
		{"the API server answers", "the API server does not answer", func(ctx context.Context) Outcome {
			a, err := e.askAPI(ctx)
			if err != nil {
				return fail(render.Error(err), "check the server of your kubeconfig (kubectl config view --minify), the network and the VPN; --context takes another cluster")
			}
			return ok(fmt.Sprintf("%s, in %s", e.Server, milliseconds(a.took)))
		}},
		{"the API server knows you", "the API server does not know you", func(ctx context.Context) Outcome {
			if _, err := e.askAPI(ctx); err != nil {
				return skip("the API server does not answer")
			}
			user, err := e.askUser(ctx)
			if err != nil {
				return fail(render.Error(err), "log in to the cluster again; kubectl auth whoami must name you")
			}
			return ok(user)
		}},
		{"Kubernetes is " + helm.MinKubernetes + " or later", "Kubernetes is older than " + helm.MinKubernetes, e.withAPI(func(ctx context.Context) Outcome {
			a, err := e.askAPI(ctx)
			if err != nil {
				return skip(err.Error())
			}
			if a.version == nil {
				return skip("the API server does not know you")
			}
			if err := helm.CheckServer(known{a}); err != nil {
				return fail(err.Error(), "upgrade the cluster, or use another one with --context")
			}
			return ok(a.version.GitVersion)
		})},
		{"ValidatingAdmissionPolicy is served", "ValidatingAdmissionPolicy is not served", e.withAPI(func(ctx context.Context) Outcome {
			list, err := e.Kube.Discovery().ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1")
			if err != nil {
				return fail(render.Error(err), policyHint)
			}
			return judgePolicyAPI(list)
		})},
	}
}

const policyHint = "who may intercept rests on it: use Kubernetes " + helm.MinKubernetes + " or later, with admissionregistration.k8s.io/v1 not switched off by --runtime-config"

func judgePolicyAPI(list *metav1.APIResourceList) Outcome {
	for _, name := range []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		if !serves(list, name) {
			return fail("the API server has no "+name+" in "+list.GroupVersion, policyHint)
		}
	}
	return ok("")
}

func serves(list *metav1.APIResourceList, resource string) bool {
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource })
}

// known is an API server whose version is known already.
type known struct{ *answer }

// ServerVersion implements discovery.ServerVersionInterface.
func (k known) ServerVersion() (*apiversion.Info, error) { return k.version, nil }

var _ discovery.ServerVersionInterface = known{}

// milliseconds formats a duration for the user: "12 ms", "0.4 ms".
func milliseconds(d time.Duration) string {
	if ms := float64(d) / float64(time.Millisecond); ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
