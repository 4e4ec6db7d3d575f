package cmd

import (
	"slices"
	"testing"
)

// The value of a flag is no verb.
func TestHelmVerb(t *testing.T) {
	for _, test := range []struct{ typed, want []string }{
		{[]string{"helm", "install"}, []string{"install"}},
		{[]string{"helm", "-n", "install", "upgrade"}, []string{"upgrade", "-n", "install"}},
		{[]string{"helm", "--namespace", "upgrade", "uninstall", "-q"}, []string{"uninstall", "--namespace", "upgrade", "-q"}},
		{[]string{"helm", "--context=a", "install"}, []string{"install", "--context=a"}},
		{[]string{"helm", "lint"}, []string{"helm", "lint"}},
	} {
		if got := usual(test.typed); !slices.Equal(got, test.want) {
			t.Errorf("%v is read as %v, want %v", test.typed, got, test.want)
		}
	}
}
