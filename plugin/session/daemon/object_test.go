package daemon

import (
	"strings"
	"testing"
)

func TestObjectName(t *testing.T) {
	for _, c := range []struct{ user, host, want string }{
		{"jane", "laptop", "jane-laptop-"},
		{"Jane.Doe@example.com", "Janes-MacBook.local", "jane-doe-example-com-janes-macbook-"},
		{"system:serviceaccount:shop:builder", "", "system-serviceaccount-shop-builder-host-"},
		{"", "---", "user-host-"},
		{strings.Repeat("x", 500), strings.Repeat("y", 500), strings.Repeat("x", 34) + "-" + strings.Repeat("y", 20) + "-"},
	} {
		got := objectName(c.user, c.host)
		if !strings.HasPrefix(got, c.want) || len(got) != len(c.want)+5 || len(got) > 63 {
			t.Errorf("%q on %q is %q", c.user, c.host, got)
		}
	}
}
