//go:build rootful

package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// While the application is stopped, the agent answers its callers, and the kubelet's probes
// with success.
func TestStopped(t *testing.T) {
	l, m, _, _ := setup(t)
	l.application(":80")
	port := tcpPort(80)
	port.Routes[0].Mode, port.Stopped = rpc.Route_NOTHING, "alice replaces it"
	m.capture(port)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: l.caller.dialContext}}
	for agent, want := range map[string]int{"curl/8": 503, "kube-probe/1.36": 200} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+podIP+":80/healthz", nil)
		must(t, err)
		r.Header.Set("User-Agent", agent)
		answer, err := client.Do(r)
		must(t, err)
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != want || !strings.Contains(string(body), "alice replaces it") {
			t.Errorf("%s gets %s, %v: %s", agent, answer.Status, err, body)
		}
	}
	port = tcpPort(80)
	port.Routes[0].Mode = rpc.Route_NOTHING
	m.capture(port)
	l.caller.expect(podIP+":80", "app")
}
