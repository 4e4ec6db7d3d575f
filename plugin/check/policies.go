package check

import (
	"cmp"
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// nobody is a name that no user has.
const nobody = "kubectl-intercept:nobody"

// policies creates a Session in another user's name as a dry run. The
// ValidatingAdmissionPolicy that also protects Intercepts must refuse it. The check does
// not try an Intercept, because that may be refused for other reasons. If the user may
// read the policies, the check also verifies that all of them exist.
func (e *Env) policies(ctx context.Context) Outcome {
	forged := &v1alpha1.Session{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.ManagerNamespace, GenerateName: "check-"},
		Spec:       v1alpha1.SessionSpec{User: nobody, PublicKey: strings.Repeat("0", 64)},
	}
	o := e.judgeForged(e.Client.Create(ctx, forged, client.DryRunAll))
	if o.Status == Failed {
		return o
	}
	lacks, err := e.missingPolicies(ctx)
	switch {
	case err != nil:
		return o
	case len(lacks) > 0:
		return fail("there is no "+strings.Join(lacks, " and no "), "kubectl intercept upgrade makes them again")
	}
	return ok("")
}

func (e *Env) judgeForged(err error) Outcome {
	switch {
	case err == nil:
		return fail("a Session in another user's name is accepted: users can act in each other's names",
			"kubectl intercept upgrade makes the ValidatingAdmissionPolicies again; kubectl get validatingadmissionpolicies,validatingadmissionpolicybindings shows them")
	case strings.Contains(err.Error(), nobody) && strings.Contains(err.Error(), "spec.user"):
		return ok("")
	case apierrors.IsForbidden(err):
		return skip("you may not create Sessions, which is how it is tried")
	case apierrors.IsNotFound(err):
		return skip("Sessions are not served")
	}
	return failedToAsk("try to create a Session", err)
}

func (e *Env) missingPolicies(ctx context.Context) ([]string, error) {
	installed, err := e.askInstalled(ctx)
	if err != nil {
		return nil, err
	}
	var lacks []string
	admission := e.Kube.AdmissionregistrationV1()
	for _, which := range []string{"owner", "intercepts", "stand-ins", "sessions", "manager"} {
		name := installed.Release + "-" + e.ManagerNamespace + "-" + which
		_, policy := admission.ValidatingAdmissionPolicies().Get(ctx, name, metav1.GetOptions{})
		_, binding := admission.ValidatingAdmissionPolicyBindings().Get(ctx, name, metav1.GetOptions{})
		if err := cmp.Or(client.IgnoreNotFound(policy), client.IgnoreNotFound(binding)); err != nil {
			return nil, err
		}
		if policy != nil {
			lacks = append(lacks, "validatingadmissionpolicy "+name)
		}
		if binding != nil {
			lacks = append(lacks, "validatingadmissionpolicybinding "+name)
		}
	}
	return lacks, nil
}
