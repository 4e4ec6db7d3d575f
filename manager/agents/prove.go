package agents

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Keys and values by which the API server describes a token that is bound to a pod
// (KEP-1205).
const (
	podNameKey           = "authentication.kubernetes.io/pod-name"
	podUIDKey            = "authentication.kubernetes.io/pod-uid"
	serviceAccountPrefix = "system:serviceaccount:"
)

// prove asks the API server whether a sidecar's token belongs to the pod that the
// sidecar names, and was made for this manager. The pod's other containers have
// tokens too, for another audience. The error is a gRPC status.
func (s *Server) prove(ctx context.Context, who pki.Pod, token string) error {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{s.audience}}}
	if err := s.reviewer.Create(ctx, review); err != nil {
		return status.Errorf(codes.Unavailable, "pod %s: review token: %v", who, err)
	}
	if err := belongs(review.Status, who, s.audience); err != nil {
		return status.Errorf(codes.PermissionDenied, "pod %s: %v", who, err)
	}
	return nil
}

func belongs(r authenticationv1.TokenReviewStatus, who pki.Pod, audience string) error {
	is := func(key, want string) bool {
		v := r.User.Extra[key]
		return want != "" && len(v) == 1 && v[0] == want
	}
	switch {
	case !r.Authenticated:
		return fmt.Errorf("service account token: %s", firstOf(r.Error, "not authenticated"))
	case !slices.Contains(r.Audiences, audience):
		return fmt.Errorf("service account token: not made for %s", audience)
	case !strings.HasPrefix(r.User.Username, serviceAccountPrefix+who.Namespace+":"),
		!is(podNameKey, who.Name), !is(podUIDKey, who.UID):
		return fmt.Errorf("service account token: of another pod")
	}
	return nil
}

// idleCheckEvery is how often an agent without a port is considered for its end.
const idleCheckEvery = 2 * time.Second

// leaves says whether an ephemeral agent that has nothing to do is to end.
func (s *Server) leaves(ctx context.Context, who pki.Pod, idle time.Duration) bool {
	if s.maxIdle > 0 && idle >= s.maxIdle {
		return true
	}
	var pod corev1.Pod
	err := s.reader.Get(ctx, client.ObjectKey{Namespace: who.Namespace, Name: who.Name}, &pod)
	return err == nil && pod.Annotations[sidecar.LeaveAnnotation] != ""
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// share is the part of the pod's plan that is this agent's: an agent in a container has
// the stand-ins for it, a sidecar has the ports that it was made for, and an ephemeral
// agent beside it has the others.
func (s *Server) share(ctx context.Context, who pki.Pod, all plan.Plan, first *rpc.AgentReport) (plan.Plan, error) {
	if first.Container != "" {
		return all.InContainer(first.Container), nil
	}
	if all.Len() == 0 {
		return plan.Plan{}, nil
	}
	var pod corev1.Pod
	if err := s.reader.Get(ctx, client.ObjectKey{Namespace: who.Namespace, Name: who.Name}, &pod); err != nil {
		return plan.Plan{}, client.IgnoreNotFound(err)
	}
	layout := sidecar.Of(&pod)
	return all.Only(func(number int32, protocol corev1.Protocol) bool {
		return sidecar.Covers(layout, number, protocol) == first.Sidecar
	}), nil
}
