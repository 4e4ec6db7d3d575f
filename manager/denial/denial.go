// Package denial reads from an API server's answer whether the request was denied at
// admission, and by what.
package denial

import (
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// denier finds the name of a webhook or a policy in the answer. A webhook that cannot
// be reached denies, too.
var denier = regexp.MustCompile(`(?:admission webhook|failed calling webhook|failed to call webhook|ValidatingAdmissionPolicy) ["']([^"']+)["']`)

// Is says that the API server, a webhook or a policy denies the request, so that
// trying again is of no use. Webhooks and policies choose the status code of the
// answer, so the text counts before the code.
func Is(err error) bool {
	if err == nil {
		return false
	}
	return denier.MatchString(err.Error()) || strings.Contains(err.Error(), "denied the request") ||
		apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// By names what denied the request, by the text of the answer: "the admission
// webhook example.com".
func By(text string) string {
	m := denier.FindStringSubmatch(text)
	switch {
	case m == nil:
		return "the API server"
	case strings.HasPrefix(m[0], "Validating"):
		return "the ValidatingAdmissionPolicy " + m[1]
	case strings.HasPrefix(m[0], "failed"):
		return "the admission webhook " + m[1] + ", which cannot be reached,"
	}
	return "the admission webhook " + m[1]
}
