package intercept

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

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

		"127.0.0.1:8080":            {LocalPort: 8080},
		"localhost:8080:http":       {LocalPort: 8080, Port: "http"},
		"[::1]:8080":                {LocalHost: "::1", LocalPort: 8080},
		"[::1]:5353:dns/udp":        {LocalHost: "::1", LocalPort: 5353, Port: "dns", Protocol: "UDP"},
		"172.17.0.2:8080:80":        {LocalHost: "172.17.0.2", LocalPort: 8080, Port: "80"},
		"[2001:DB8:0::7]:8080:http": {LocalHost: "2001:db8::7", LocalPort: 8080, Port: "http"},
		"[::ffff:192.0.2.7]:8080":   {LocalHost: "192.0.2.7", LocalPort: 8080},
	} {
		want.LocalHost = cmp.Or(want.LocalHost, "127.0.0.1")
		got, err := parsePort(flag)
		if err != nil {
			t.Errorf("%s: %v", flag, err)
		}
		if d := gocmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", flag, d)
		}
	}
	for _, flag := range []string{"", ":", "http", "0", "65536", "-1", "8080:", "8080:Bad_Name", "8080:0", "8080:http/", "8080:http/sctp",
		"8080:http:x", "8080:65536", "::1:8080", "[::1]", "[::1]8080", "[::1]:", "[::1]:http", "[::1%eth0]:8080", "[db]:8080:http", "db:8080:http",
		"db:8080", "0.0.0.0:8080", "[::]:8080", "224.0.0.1:8080", "192.0.2.7", "192.0.2.7:", "192.0.2.7:0:http", "256.0.0.1:8080:http"} {
		if got, err := parsePort(flag); err == nil {
			t.Errorf("%q is %v", flag, got)
		}
	}
}

// Only addresses that are not loopback have to be told to the session.
func TestHosts(t *testing.T) {
	ports, err := parsePorts([]string{"8080:a", "[::1]:8080:b", "127.0.0.2:8080:c", "192.0.2.7:8080:d", "192.0.2.7:8081:e", "[2001:db8::7]:8080:f"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hosts(ports), []string{"192.0.2.7", "2001:db8::7"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
