package denial

import (
	"errors"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestDenial holds answers of API servers: which ones are denials, and whose.
func TestDenial(t *testing.T) {
	status := func(code int32, reason metav1.StatusReason, message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
	}
	pods := schema.GroupResource{Resource: "pods"}
	for name, tt := range map[string]struct {
		err    error
		denied bool
		who    string
	}{
		"webhook without a code":          {status(http.StatusBadRequest, "", `admission webhook "validate.kyverno.svc-fail" denied the request: no`), true, "the admission webhook validate.kyverno.svc-fail"},
		"webhook with a code of conflict": {status(http.StatusConflict, metav1.StatusReasonConflict, `admission webhook "a.b" denied the request: no`), true, "the admission webhook a.b"},
		"webhook that is down":            {apierrors.NewInternalError(errors.New(`failed calling webhook "a.b": failed to call webhook: Post "https://a.b.svc:443/?timeout=10s": connection refused`)), true, "the admission webhook a.b, which cannot be reached,"},
		"policy with another code":        {status(http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, `pods "a" is forbidden: ValidatingAdmissionPolicy 'no-debug' with binding 'b' denied request: no`), true, "the ValidatingAdmissionPolicy no-debug"},
		"forbidden":                       {apierrors.NewForbidden(pods, "a", errors.New("no")), true, "the API server"},
		"invalid":                         {status(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "no"), true, "the API server"},
		"conflict":                        {apierrors.NewConflict(pods, "a", errors.New("changed")), false, "the API server"},
		"an API server in trouble":        {apierrors.NewInternalError(errors.New("etcdserver: request timed out")), false, "the API server"},
		"disruption budget":               {apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0), false, "the API server"},
		"no answer":                       {errors.New("connection refused"), false, "the API server"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Is(tt.err); got != tt.denied {
				t.Errorf("denied: %t", got)
			}
			if got := By(tt.err.Error()); got != tt.who {
				t.Errorf("by %q", got)
			}
		})
	}
}
