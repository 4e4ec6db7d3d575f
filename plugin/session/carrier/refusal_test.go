package carrier

import (
	"io"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// A 5xx may be of the API server, about the traffic-manager, or of something in
// between, which knows nothing of either. Only another way can tell.
func TestRefusal(t *testing.T) {
	const (
		refused   = `error trying to reach service: dial tcp 10.0.0.7:443: connect: connection refused`
		endpoints = `no endpoints available for service \"http:traffic-manager:tunnel\"`
	)
	status := func(text string) string {
		return `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"` + text + `"}`
	}
	for _, c := range []struct {
		code          int
		body          string
		elsewhere, no bool
	}{
		{500, "oops", true, false},
		{502, "<html>Bad Gateway</html>", true, false},
		{503, "", true, false},
		{503, status("upstream is not healthy"), true, false},
		{503, status(refused), false, false},
		{503, status(endpoints), false, false},
		{403, status("forbidden"), true, true},
		{401, "log in first", false, false},
	} {
		err := refusal(ViaService, &http.Response{StatusCode: c.code, Status: http.StatusText(c.code), Body: io.NopCloser(strings.NewReader(c.body))})
		if Elsewhere(err) != c.elsewhere || IsNotPossible(err) != c.no || apierrors.IsUnauthorized(err) != (c.code == 401) {
			t.Errorf("%d %s: %v, elsewhere %t, not possible %t", c.code, c.body, err, Elsewhere(err), IsNotPossible(err))
		}
	}
}
