package carrier

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
)

func upgradeHeaders(req *http.Request, protocol string) {
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
}

func upgraded(resp *http.Response, protocol string) bool {
	return resp.StatusCode == http.StatusSwitchingProtocols && strings.EqualFold(resp.Header.Get("Upgrade"), protocol)
}

// refusal returns the error for an answer other than 101.
func refusal(transport string, resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	var status metav1.Status
	var err error
	if json.Unmarshal(body, &status) == nil && status.Kind == "Status" && status.Message != "" {
		err = &apierrors.StatusError{ErrStatus: status}
	} else {
		text := strings.Join(strings.Fields(string(body)), " ")
		err = fmt.Errorf("answer %s: %s", resp.Status, text[:min(len(text), 200)])
	}
	switch code := resp.StatusCode; {
	case notPossible(code, err.Error()):
		return &NotPossibleError{transport, err}
	case code == http.StatusUnauthorized && !apierrors.IsUnauthorized(err):
		return apierrors.NewUnauthorized(err.Error())
	case code >= 500 && !ofManager(err.Error()):
		return &BetweenError{transport, err}
	}
	return err
}

// ofManager says whether the API server answered 5xx because it cannot reach the
// traffic-manager. No other transport reaches it then.
func ofManager(message string) bool {
	return strings.Contains(message, "error trying to reach service") || strings.Contains(message, "no endpoints available for service")
}

// notPossible says whether the transport can never work here. An API server that can
// reach no pod at all, for instance because of a firewall, answers 503, too.
func notPossible(code int, message string) bool {
	if code == http.StatusServiceUnavailable {
		return strings.Contains(message, "error trying to reach service") &&
			!strings.Contains(message, "connection refused") && !strings.Contains(message, "EOF")
	}
	again := []int{http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests}
	return !slices.Contains(again, code) && (code < 500 || code == http.StatusNotImplemented)
}
