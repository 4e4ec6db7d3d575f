// Package authz decides what the user of a session may reach in the cluster:
// what he might forward ports to anyway. Who may create pods/portforward in a
// namespace may dial the pods and the Services there, and what is outside of
// the cluster and an EndpointSlice there gives to a Service, at its ports.
// Beyond that the operator may open subnets to everybody who is connected, or
// all of the network.
package authz

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// remember is how long an answer of the API server is believed.
const remember = time.Minute

// Subject is a user as the API server knew him when it last confirmed his session.
type Subject struct {
	User   string
	Groups []string
	Extra  map[string]v1alpha1.ExtraValues
}

// SubjectOf is the user of a Session.
func SubjectOf(s *v1alpha1.Session) Subject {
	if o := s.Status.Owner; o != nil {
		return Subject{User: s.Spec.User, Groups: o.Groups, Extra: o.Extra}
	}
	return Subject{User: s.Spec.User, Groups: s.Spec.Groups, Extra: s.Spec.Extra}
}

// Equal says that the API server decides alike about both.
func (s Subject) Equal(o Subject) bool { return s.key() == o.key() }

// key tells subjects apart.
func (s Subject) key() string {
	return fmt.Sprintf("%q %q %q", s.User, s.Groups, s.Extra) // with the keys of Extra in order
}

// extra is Extra as a review has it.
func (s Subject) extra() map[string]authorizationv1.ExtraValue {
	if s.Extra == nil {
		return nil
	}
	all := make(map[string]authorizationv1.ExtraValue, len(s.Extra))
	for key, values := range s.Extra {
		all[key] = authorizationv1.ExtraValue(values)
	}
	return all
}

// DeniedError says that an address is not to be reached, and what permission
// would allow it.
type DeniedError struct {
	User, Address string
	// Namespaces are those that lead to the address; none if it is no
	// Service's and no pod's.
	Namespaces []string
	// All: it takes the permission in each of them.
	All bool
}

// Error names the missing permission.
func (e *DeniedError) Error() string {
	switch len(e.Namespaces) {
	case 0:
		return fmt.Sprintf("%s is not the address of a Service or pod, and the operator has not opened it (client.routing.alsoProxySubnets)", e.Address)
	case 1:
		return fmt.Sprintf("user %q may not dial %s: that needs \"create pods/portforward\" in namespace %q", e.User, e.Address, e.Namespaces[0])
	}
	which := "one of"
	if e.All {
		which = "each of"
	}
	return fmt.Sprintf("user %q may not dial %s: that needs \"create pods/portforward\" in %s the namespaces %q", e.User, e.Address, which, e.Namespaces)
}

// Policy is what the operator opens.
type Policy struct {
	// Everything: every address may be dialed.
	Everything bool
	// Subnets are open to everybody who is connected, except for Services and
	// pods in them.
	Subnets []netip.Prefix
}

// Reach asks the API server and remembers its answers. It is safe for
// concurrent use.
type Reach struct {
	reader client.Reader // a cache with Index
	writer client.Writer // of SubjectAccessReviews
	policy Policy
	now    func() time.Time

	mu      sync.Mutex
	answers map[string]answer
}

type answer struct {
	allowed bool
	until   time.Time
}

// New looks addresses up with a reader that Index has prepared.
func New(r client.Reader, w client.Writer, p Policy) *Reach {
	return &Reach{reader: r, writer: w, policy: p, now: time.Now, answers: map[string]answer{}}
}

// Check returns a DeniedError if the user may not dial the address, or the
// error that kept it from finding out. Port 0 is for an echo.
func (r *Reach) Check(ctx context.Context, s Subject, to netip.AddrPort) error {
	a := to.Addr().Unmap()
	denied := &DeniedError{User: s.User, Address: a.String()}
	if a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Zone() != "" {
		return denied // the traffic-manager's own
	}
	opened := slices.ContainsFunc(r.policy.Subnets, func(p netip.Prefix) bool { return p.Contains(a) })
	if a.IsLinkLocalUnicast() && !opened {
		return denied // the node's own, such as the cloud's credentials
	}
	metadata := isMetadata(a)
	if r.policy.Everything && !metadata {
		return nil
	}
	at, err := find(ctx, r.reader, to)
	if err != nil {
		return fmt.Errorf("look up %s: %w", a, err)
	}
	switch {
	case metadata && at.outside && !opened:
		return denied // whatever a Service claims
	case at.public || r.policy.Everything:
		return nil
	}
	allowed, err := r.mayEnter(ctx, s, at)
	if err != nil || allowed {
		return err
	}
	if opened && (len(at.namespaces) == 0 || at.outside) {
		return nil
	}
	denied.Namespaces, denied.All = at.namespaces, at.all
	return denied
}

// mayEnter says whether the user may forward ports in a namespace of the location, or in each.
func (r *Reach) mayEnter(ctx context.Context, s Subject, at location) (bool, error) {
	for _, namespace := range at.namespaces {
		allowed, err := r.mayForward(ctx, s, namespace)
		if err != nil || allowed != at.all {
			return allowed, err
		}
	}
	return at.all && len(at.namespaces) > 0, nil
}

func (r *Reach) mayForward(ctx context.Context, s Subject, namespace string) (bool, error) {
	return r.may(ctx, s, authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "create", Resource: "pods", Subresource: "portforward"})
}

// MayExec says whether the user may "create pods/exec" for a pod. That gives its
// environment, its files and its network.
func (r *Reach) MayExec(ctx context.Context, s Subject, namespace, pod string) (bool, error) {
	return r.may(ctx, s, authorizationv1.ResourceAttributes{Namespace: namespace, Name: pod, Verb: "create", Resource: "pods", Subresource: "exec"})
}

// MayList says whether the user may list objects of a namespace.
func (r *Reach) MayList(ctx context.Context, s Subject, group, resource, namespace string) (bool, error) {
	return r.may(ctx, s, authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "list", Group: group, Resource: resource})
}

// may asks the API server, or remembers its answer.
func (r *Reach) may(ctx context.Context, s Subject, what authorizationv1.ResourceAttributes) (bool, error) {
	key := strings.Join([]string{what.Namespace, what.Name, what.Verb, what.Group, what.Resource, what.Subresource, s.key()}, "\x00")
	now := r.now()
	r.mu.Lock()
	known, ok := r.answers[key]
	r.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.allowed, nil
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: s.User, Groups: s.Groups, Extra: s.extra(), ResourceAttributes: &what,
	}}
	if err := r.writer.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask the API server what user %q may: %w", s.User, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, a := range r.answers { // few, and gone within a minute
		if !now.Before(a.until) {
			delete(r.answers, k)
		}
	}
	r.answers[key] = answer{review.Status.Allowed, now.Add(remember)}
	return review.Status.Allowed, nil
}
