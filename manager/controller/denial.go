package controller

import (
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// denier finds the name of what refuses a request at admission in the API server's
// answer: a webhook, one that is down, or a policy.
var denier = regexp.MustCompile(`(?:admission webhook|failed calling webhook|failed to call webhook|ValidatingAdmissionPolicy) ["']([^"']+)["']`)

// denied says that the API server refuses a request by its rules or by somebody
// else's, so that trying again is of no use. Webhooks and policies choose the code
// of the answer, so what it says counts before the code.
func denied(err error) bool {
	if err == nil {
		return false
	}
	return denier.MatchString(err.Error()) || strings.Contains(err.Error(), "denied the request") ||
		apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// whoDenied is the part of a sentence that names what refused a request, by the text of
// the refusal.
func whoDenied(text string) string {
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
