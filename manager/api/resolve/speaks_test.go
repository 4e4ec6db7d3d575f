package resolve

import (
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func TestAppProtocol(t *testing.T) {
	for speaks, names := range map[Speaks][]string{
		Undeclared: {"", "example.com/http", "kubernetes.io/new"},
		HTTP:       {"http", "HTTP", "http2", "grpc", "kubernetes.io/h2c", "kubernetes.io/ws"},
		HTTPS:      {"https", "kubernetes.io/wss"},
		Other:      {"mysql", "tcp", "redis"},
	} {
		for _, name := range names {
			if got := AppProtocol(name); got != speaks {
				t.Errorf("%q: %v, want %v", name, got, speaks)
			}
		}
	}
}

func TestCannotTellApart(t *testing.T) {
	annotated := map[string]string{TerminatingTLSKey: "quote-tls"}
	for _, x := range []struct {
		app, name   string
		annotations map[string]string
		want        string // a part of the error; empty for none
	}{
		{"", "http", nil, ""},
		{"", "", nil, ""},
		{"", "https", nil, "set appProtocol: http"},
		{"", "https-web", nil, TerminatingTLSKey},
		{"", "https", annotated, ""},
		{"http", "https", nil, ""},
		{"https", "web", nil, TerminatingTLSKey},
		{"https", "web", annotated, ""},
		{"mysql", "http", annotated, "not HTTP"},
	} {
		w := &Workload{Annotations: x.annotations}
		err := CannotTellApart(w, []v1alpha1.ResolvedPort{{ServicePort: 443, ServicePortName: x.name, AppProtocol: x.app}})
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v", x, err)
		}
	}
}
