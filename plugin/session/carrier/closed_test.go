package carrier

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestExplain: whoever is kept from the service proxy by something on the way reads which value
// opens the other way. Whoever lacks rights reads of these.
func TestExplain(t *testing.T) {
	forbidden := func(resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New(`User "alice" cannot use it`))
	}
	forward := &NotPossibleError{ViaPortForward, forbidden("pods")}
	for name, c := range map[string]struct {
		err  error
		told bool
	}{
		"a gateway":          {errors.Join(&BetweenError{ViaService, errors.New("answer 502 Bad Gateway")}, forward), true},
		"no Upgrade":         {errors.Join(&NotPossibleError{ViaService, errors.New("answer 400 Bad Request")}, forward), true},
		"no rights at all":   {errors.Join(&NotPossibleError{ViaService, forbidden("services/proxy")}, forward), false},
		"both ways broken":   {errors.Join(&BetweenError{ViaService, errors.New("answer 502 Bad Gateway")}, errors.New("no pod is ready")), false},
		"port-forward alone": {forward, false},
	} {
		got := Explain(c.err)
		if told := strings.Contains(got.Error(), "kubectl intercept upgrade --set clientRbac.portForward=true"); told != c.told || !told && got != c.err {
			t.Errorf("%s: %v", name, got)
		}
		if c.told && (!strings.Contains(got.Error(), "(answer ") || apierrors.IsForbidden(got)) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
