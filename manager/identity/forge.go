package identity

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// forge tries to make Sessions, as a dry run, that are not the traffic-manager's: in another
// user's name, and with a group more. The owner policy must refuse both. That is all that the
// traffic-manager's own policy lets it try.
func (g *Guard) forge(ctx context.Context) error {
	nonce := strings.ToLower(rand.Text())
	for _, try := range []struct {
		what, refusal string
		spec          v1alpha1.SessionSpec
	}{
		{"in another user's name", "spec.user must be your own name", v1alpha1.SessionSpec{User: "kubectl-intercept:nobody:" + nonce}},
		{"with another user's groups", "spec.groups must be your own groups", v1alpha1.SessionSpec{User: g.User, Groups: []string{"kubectl-intercept:nobody:" + nonce}}},
	} {
		s := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, Name: "forged-" + nonce}, Spec: try.spec}
		s.Spec.PublicKey = strings.Repeat("0", 64)
		err := g.Client.Create(ctx, s, client.DryRunAll)
		switch {
		case err == nil:
			return &MissingError{"validatingadmissionpolicy " + g.Release + "-" + owner, "admits a Session " + try.what}
		case apierrors.IsForbidden(err) && isPolicys(err) && strings.Contains(err.Error(), try.refusal):
		default:
			return fmt.Errorf("try whether a Session %s is refused: %w", try.what, err)
		}
	}
	return nil
}

// isPolicys says that a ValidatingAdmissionPolicy refuses, by the words of Kubernetes. It may
// be the same policy of another release.
func isPolicys(err error) bool {
	return slices.ContainsFunc(strings.SplitAfter(err.Error(), ": "), func(part string) bool {
		return strings.HasPrefix(part, "ValidatingAdmissionPolicy '") && strings.HasSuffix(part, "-"+owner+"' denied request: ")
	})
}
