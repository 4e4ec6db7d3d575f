package deploy

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
)

// TestWarnClosed: where the service proxy is closed, install and upgrade name the value that lets
// users in.
func TestWarnClosed(t *testing.T) {
	const told = "Warning: the API server's service proxy is closed (service-proxy: answer 502 Bad Gateway). Users come by port-forward only if you allow it:\n" +
		"  kubectl intercept upgrade --namespace team-a --set clientRbac.portForward=true\n"
	closed := &carrier.BetweenError{Transport: carrier.ViaService, Err: errors.New("answer 502 Bad Gateway")}
	for name, c := range map[string]struct {
		err     error
		allowed bool
		want    string
	}{
		"open":                      {nil, false, ""},
		"closed":                    {closed, false, told},
		"closed, and another way":   {closed, true, ""},
		"nothing answers, as usual": {errors.New("no endpoints available"), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, printed := fixture(t, "v1.30.1", &releases{})
			o.Proxy = func(context.Context) (net.Conn, error) {
				here, there := net.Pipe()
				there.Close()
				return here, c.err
			}
			values, err := o.Apply.Effective(nil)
			if err != nil {
				t.Fatal(err)
			}
			values["clientRbac"].(map[string]any)["portForward"] = c.allowed
			o.warnClosed(t.Context(), values)
			if _, got := printed(); got != c.want {
				t.Errorf("printed %q, want %q", got, c.want)
			}
		})
	}
}
