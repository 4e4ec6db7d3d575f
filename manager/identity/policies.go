package identity

import (
	"context"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// owner is the policy that makes users the only ones whose names their Sessions carry.
const owner = "owner"

// policies are the release's policies that identity rests on, by the ends of their names. The
// last one binds the traffic-manager itself.
func policies() []string { return []string{owner, "intercepts", "stand-ins", "sessions", "manager"} }

// MissingError says which policy or binding is not in force, and why.
type MissingError struct{ Object, Problem string }

// Error says what to type, too.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s %s, so nobody's name can be trusted: an administrator puts it in order with \"kubectl intercept upgrade\"", e.Object, e.Problem)
}

// read reads a policy and its binding, and returns since when it is in force.
func (g *Guard) read(ctx context.Context, which string) (since time.Time, err error) {
	name := g.Release + "-" + which
	var policy admissionv1.ValidatingAdmissionPolicy
	if err := g.get(ctx, "validatingadmissionpolicy "+name, name, &policy); err != nil {
		return since, err
	}
	var binding admissionv1.ValidatingAdmissionPolicyBinding
	if err := g.get(ctx, "validatingadmissionpolicybinding "+name, name, &binding); err != nil {
		return since, err
	}
	if problem := lacks(&policy, which); problem != "" {
		return since, &MissingError{"validatingadmissionpolicy " + name, problem}
	}
	if problem := unbound(&binding, name, which); problem != "" {
		return since, &MissingError{"validatingadmissionpolicybinding " + name, problem}
	}
	return latest(policy.CreationTimestamp.Time, changed(&binding)), nil
}

func (g *Guard) get(ctx context.Context, what, name string, o client.Object) error {
	err := g.Client.Get(ctx, client.ObjectKey{Name: name}, o)
	if apierrors.IsNotFound(err) {
		return &MissingError{what, "does not exist"}
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// lacks says in what a policy does less than the chart's. What its expressions are worth, the
// forged Sessions show.
func lacks(p *admissionv1.ValidatingAdmissionPolicy, which string) string {
	match := p.Spec.MatchConstraints
	switch {
	case p.DeletionTimestamp != nil:
		return "is being deleted"
	case ptr.Deref(p.Spec.FailurePolicy, admissionv1.Fail) != admissionv1.Fail:
		return "has not the failurePolicy Fail"
	case len(p.Spec.Validations) == 0 || match == nil || len(match.ResourceRules) == 0:
		return "validates nothing"
	case len(match.ExcludeResourceRules) > 0 || selects(match.NamespaceSelector) || selects(match.ObjectSelector):
		return "leaves objects out"
	case len(p.Spec.MatchConditions) > 0 && which != "manager": // that has one: who the traffic-manager is
		return "leaves requests out by matchConditions"
	}
	return ""
}

// unbound says in what a binding does less than the chart's.
func unbound(b *admissionv1.ValidatingAdmissionPolicyBinding, policy, which string) string {
	match := b.Spec.MatchResources
	switch {
	case b.DeletionTimestamp != nil:
		return "is being deleted"
	case b.Spec.PolicyName != policy:
		return fmt.Sprintf("binds %q", b.Spec.PolicyName)
	case !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny):
		return fmt.Sprintf("has the validationActions %v without Deny", b.Spec.ValidationActions)
	case match == nil:
		return ""
	case len(match.ExcludeResourceRules) > 0 || len(match.ResourceRules) > 0 || selects(match.ObjectSelector),
		selects(match.NamespaceSelector) && which != "sessions": // a release's own namespace
		return "leaves objects out"
	}
	return ""
}

func selects(s *metav1.LabelSelector) bool {
	return s != nil && (len(s.MatchLabels) > 0 || len(s.MatchExpressions) > 0)
}

// changed is when the spec of a binding may have changed last. That of the chart is never
// changed, so an upgrade, which writes labels, makes it no younger.
func changed(b *admissionv1.ValidatingAdmissionPolicyBinding) time.Time {
	at := b.CreationTimestamp.Time
	if b.Generation <= 1 {
		return at
	}
	for _, f := range b.ManagedFields {
		if f.Time != nil {
			at = latest(at, f.Time.Time)
		}
	}
	return at
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
