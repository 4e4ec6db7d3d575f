package resolve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWishes(t *testing.T) {
	for _, prefix := range []string{"kubectl-intercept.dev/", "telepresence.io/inject-", "telepresence.getambassador.io/inject-"} {
		inject, port := "inject", "service-ports"
		if strings.HasSuffix(prefix, "inject-") {
			inject, port = "traffic-agent", "service-port"
		}
		got, err := ReadWishes(map[string]string{
			prefix + inject: "enabled", prefix + "service-name": "quote", prefix + port: "http, 81",
			prefix + "container-ports": "8080,5353/udp", prefix + "ignore-volume-mounts": "data,/cache",
			prefix + "terminating-tls-secret": "server", prefix + "originating-tls-secret": "client",
		})
		want := Wishes{Inject: WishEnabled, Service: "quote", Ports: []string{"http", "81"}, ContainerPorts: []string{"8080", "5353/udp"},
			IgnoreMounts: []string{"data", "/cache"}, TerminatingTLS: "server", OriginatingTLS: "client"}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", prefix, err, d)
		}
	}
	w, err := ReadWishes(map[string]string{"kubectl-intercept.dev/inject": "disabled", "telepresence.io/inject-traffic-agent": "enabled"})
	if w.Inject != WishDisabled || w.DisabledBy != "kubectl-intercept.dev/inject" || err != nil {
		t.Errorf("ours does not win: %+v, %v", w, err)
	}
}
