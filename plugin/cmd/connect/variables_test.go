package connect

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

func TestVariables(t *testing.T) {
	var b strings.Builder
	n := &session.Network{Proxy: "127.0.0.1:40000"}
	outside := append([]string{"api.example.com", "127.0.0.1"}, spared(" .corp.com ,*,.svc, .cluster.local,192.168.0.0/16,.corp.com,*.lan,$(x)'")...)
	if err := PrintVariables(&b, n, outside); err != nil {
		t.Fatal(err)
	}
	none := `'localhost,127.0.0.1,::1,api.example.com,.corp.com,192.168.0.0/16,*.lan,$(x)'\'''`
	for _, want := range []string{"no_proxy=" + none, "NO_PROXY=" + none, "https_proxy=http://127.0.0.1:40000",
		"KUBECTL_INTERCEPT_PROXY=127.0.0.1:40000"} {
		if !slices.Contains(strings.Split(b.String(), "\n"), "export "+want) {
			t.Errorf("%s is not among\n%s", want, &b)
		}
	}
}
