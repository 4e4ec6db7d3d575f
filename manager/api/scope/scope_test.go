package scope

import (
	"slices"
	"testing"
)

func TestShared(t *testing.T) {
	for _, tt := range []struct {
		a, b, want string
		shared     bool
	}{
		{"", "", "all namespaces", true},
		{"shop", "", "namespace shop", true},
		{"shop,bank", "bank,shop,blog", "namespace shop, bank", true},
		{"shop", "bank", "", false},
	} {
		a, b := Parse(tt.a), Parse(tt.b)
		one, ok := a.Shared(b)
		other, same := b.Shared(a)
		slices.Sort(other)
		sorted := slices.Sorted(slices.Values(one))
		if ok != tt.shared || same != ok || !slices.Equal(sorted, other) {
			t.Errorf("%q and %q: %v, %t; the other way %v, %t", tt.a, tt.b, one, ok, other, same)
		}
		if ok && one.String() != tt.want {
			t.Errorf("%q and %q share %q, want %q", tt.a, tt.b, one, tt.want)
		}
	}
}

func TestHas(t *testing.T) {
	for list, want := range map[string]bool{"": true, "bank,shop": true, "bank": false} {
		if got := Parse(list).Has("shop"); got != want {
			t.Errorf("%q: %t", list, got)
		}
	}
}
