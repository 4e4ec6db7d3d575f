package intercept

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func TestParsePort(t *testing.T) {
	for flag, want := range map[string]v1alpha1.InterceptPort{
		"8080":            {LocalPort: 8080},
		"8080:http":       {LocalPort: 8080, Port: "http"},
		"8080:80":         {LocalPort: 8080, Port: "80"},
		"5353:dns/udp":    {LocalPort: 5353, Port: "dns", Protocol: "UDP"},
		"5353/UDP":        {LocalPort: 5353, Protocol: "UDP"},
		"65535:65535/tcp": {LocalPort: 65535, Port: "65535", Protocol: "TCP"},
	} {
		want.LocalHost = "127.0.0.1"
		got, err := parsePort(flag)
		if err != nil {
			t.Errorf("%s: %v", flag, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", flag, d)
		}
	}
	for _, flag := range []string{"", ":", "http", "0", "65536", "-1", "8080:", "8080:Bad_Name", "8080:0", "8080:http/", "8080:http/sctp",
		"127.0.0.1:8080", "8080:http:x", "8080:65536"} {
		if got, err := parsePort(flag); err == nil {
			t.Errorf("%q is %v", flag, got)
		}
	}
}
