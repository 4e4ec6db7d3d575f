package check

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// enforceLabel of a namespace is its pod security level (KEP-2579).
const enforceLabel = "pod-security.kubernetes.io/enforce"

func (e *Env) securityChecks() []Check {
	name := fmt.Sprintf("namespace %q lets an agent with NET_ADMIN into running pods", e.Namespace)
	not := fmt.Sprintf("namespace %q lets no agent with NET_ADMIN into running pods", e.Namespace)
	return []Check{{name, not, e.withAPI(func(ctx context.Context) Outcome {
		s := e.tryAgent(ctx)
		if !s.agent {
			_, _, s.err = e.TryPod(ctx, e.agentPod())
		}
		if s.err != nil && !refusedByPodSecurity(s.err) {
			ns, nerr := e.Kube.CoreV1().Namespaces().Get(ctx, e.Namespace, metav1.GetOptions{})
			s.missing = apierrors.IsNotFound(nerr)
			if nerr == nil {
				s.read, s.level = true, ns.Labels[enforceLabel]
			}
		}
		if w, werr := e.askWebhook(ctx); werr == nil {
			s.sidecars = w.reached
		}
		return e.judgeSecurity(s)
	})}}
}

// security is what the check knows about the pods that a namespace admits.
type security struct {
	// If agent is true, err is the result of adding an agent to a running pod. Otherwise
	// it is the result of creating a pod with the security context of an agent.
	err   error
	agent bool
	// hidden means that the user may not add an agent to a running pod.
	hidden bool
	// read means that level has been read from the namespace's label. missing means that
	// the namespace does not exist.
	read, missing bool
	level         string
	// sidecars means that the webhook adds agents to new pods of the namespace.
	sidecars bool
}

func refusedByPodSecurity(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "violates PodSecurity")
}

func (e *Env) judgeSecurity(s security) Outcome {
	refused := ""
	remedy := fmt.Sprintf("kubectl label namespace %s --overwrite %s=privileged", e.Namespace, enforceLabel)
	switch {
	case s.err == nil && s.hidden:
		return ok("as far as a new pod shows; what refuses ephemeral containers alone, only somebody sees who may patch pods/ephemeralcontainers")
	case s.err == nil:
		return ok("")
	case s.missing:
		return fail(fmt.Sprintf("there is no namespace %q", e.Namespace), "name one that exists with -n")
	case refusedByPodSecurity(s.err):
		_, what, _ := strings.Cut(s.err.Error(), "violates PodSecurity ")
		refused = "its pod security level refuses it: " + what
	case s.agent:
		refused, remedy = e.refusedAgent(s.err)
	case !s.read:
		return skip("a pod to try it with is refused: " + render.Error(s.err))
	case s.level == "" || s.level == "privileged":
		return ok("by its labels; a pod to try it with is refused: " + render.Error(s.err))
	default:
		refused = fmt.Sprintf("its pod security level is %q", s.level)
	}
	if s.sidecars {
		return warn(refused, "agents come as sidecars here, which needs new pods, and ports that the Service names; for agents in running pods: "+remedy)
	}
	return fail(refused, remedy)
}
