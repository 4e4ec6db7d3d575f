package status

import (
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// A port at an address that came with the object alone says why nothing arrives.
func TestUntyped(t *testing.T) {
	s := Status{Intercepts: []Intercept{{Namespace: "shop", Name: "quote", Ports: []Port{{Port: "http", Local: "192.0.2.7:8080"}, {Port: "dns", Local: "192.0.2.7:53/UDP"}, {Port: "web", Local: "127.0.0.1:8080"}}}}}
	s.addOffline(&session.Status{Intercepts: []session.StatusIntercept{{Namespace: "shop", Name: "quote",
		Ports: []session.StatusPort{{Local: "192.0.2.7:8080", Untyped: true}, {Local: "192.0.2.7:53", Untyped: true}, {Local: "127.0.0.1:8080"}}}}})
	said := 0
	for _, row := range s.Intercepts[0].rows() {
		untyped := strings.Contains(row.Value, "nobody typed the address here")
		if untyped {
			said++
		}
		if strings.HasPrefix(row.Value, "127.0.0.1") == untyped && strings.HasPrefix(row.Label, "Port ") {
			t.Errorf("%s: %s", row.Label, row.Value)
		}
	}
	if said != 2 {
		t.Errorf("%d ports are said not to be served, want 2", said)
	}
}

// A session that an older plugin started says what becomes of it.
func TestProcess(t *testing.T) {
	for of, want := range map[string]string{
		version.Version: "7, version " + version.Version,
		"0.0.9": "7, version 0.0.9; the next kubectl intercept add, run or connect replaces it with version " + version.Version +
			" and keeps its intercepts and network",
	} {
		if got := process(&session.Status{PID: 7, Version: of}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
