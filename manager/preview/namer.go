package preview

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
	"github.com/kubectl-intercept/kubectl-intercept/manager/status"
)

const (
	// again is when a preview is looked at once more: permissions, Services and sessions
	// change.
	again = 30 * time.Second
	// conflict is the pause before a write that met another one is repeated.
	conflict = 30 * time.Millisecond
)

// off is what the status says where the operator has no previews.
const off = "previews are off in this cluster: an administrator turns them on with " + gateway.Enable

// Namer gives each preview its URL, in the status of its Intercept. Only the
// traffic-manager writes the status, so that nobody claims the URL of another.
type Namer struct {
	Client client.Client
	Policy *Policy
	// Enabled says that there are previews.
	Enabled bool
}

// Setup registers the Namer with the manager. It runs in the leader.
func (n *Namer) Setup(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("preview").
		For(&v1alpha1.Intercept{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).Complete(n)
}

// Reconcile writes status.preview of one Intercept.
func (n *Namer) Reconcile(ctx context.Context, q ctrl.Request) (ctrl.Result, error) {
	var ic v1alpha1.Intercept
	if err := n.Client.Get(ctx, q.NamespacedName, &ic); err != nil || ic.DeletionTimestamp != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	preview, err := n.decide(ctx, &ic)
	if err != nil {
		return ctrl.Result{}, err
	}
	_, err = status.Write(ctx, n.Client, &ic, func(s *v1alpha1.InterceptStatus) { s.Preview = preview })
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflict}, nil
	case err == nil && preview != nil && n.Enabled:
		return ctrl.Result{RequeueAfter: again}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// decide returns what the status is to say. A URL stays while the Intercept asks for a
// preview, also if it leads nowhere for a while.
func (n *Namer) decide(ctx context.Context, ic *v1alpha1.Intercept) (*v1alpha1.PreviewStatus, error) {
	if ic.Spec.Preview == nil {
		return nil, nil
	}
	if !n.Enabled {
		return &v1alpha1.PreviewStatus{ObservedGeneration: ic.Generation, Message: off}, nil
	}
	preview := &v1alpha1.PreviewStatus{ObservedGeneration: ic.Generation}
	if before := ic.Status.Preview; before != nil && nameIn(before.URL, n.Policy.Domain) != "" {
		preview.URL = before.URL
	}
	if _, err := gateway.MarksOf(ic.Spec.Match.Conditions()); err != nil {
		preview.Message = err.Error()
		return preview, nil
	}
	_, err := n.Policy.Ingress(ctx, ic)
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		preview.Message = refused.Reason
	case err != nil:
		return nil, err
	case preview.URL == "":
		preview.URL = urlOf(strings.ToLower(rand.Text()), n.Policy.Domain)
	}
	return preview, nil
}

// nameIn is the name of the preview at a URL, one label below the domain; empty if it is
// none of that domain.
func nameIn(url, domain string) string {
	name, rest, _ := strings.Cut(strings.TrimPrefix(url, "https://"), ".")
	if "."+rest != urlEnd(domain) {
		return ""
	}
	return name
}

// urlOf is the URL of the preview with a name.
func urlOf(name, domain string) string { return "https://" + name + urlEnd(domain) }

func urlEnd(domain string) string { return "." + domain + "/" }
