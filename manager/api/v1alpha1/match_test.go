package v1alpha1

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// A Match has all of its conditions, and is the Match of these.
func TestMatchConditions(t *testing.T) {
	of := func(name string) []MatchValue { return []MatchValue{{name, "1"}, {name, "2.*"}} }
	m := &Match{Headers: of("a"), Baggage: of("b"), Tracestate: of("c"), Cookies: of("d"), QueryParams: of("e"),
		Paths: []MatchPath{{Exact: "/a/b"}, {Prefix: "/a"}, {Regexp: "/a.*"}}, Method: "GET"}
	all := m.Conditions()
	if err := all.Validate(); err != nil || len(all) != 14 {
		t.Errorf("%v: %v", all, err)
	}
	if diff := cmp.Diff(m, MatchOf(all)); diff != "" {
		t.Error(diff)
	}
	for _, m := range []*Match{nil, {}} {
		if all := m.Conditions(); len(all) != 0 {
			t.Error(all)
		}
	}
	if m := MatchOf(nil); m == nil {
		t.Error("every request has a Match")
	}
	exact := match.Conditions{{Part: match.Header, Name: "a", Op: match.Exact, Value: "1.2"}, {Part: match.Cookie, Name: "b", Op: match.Exact}}
	if got, want := MatchOf(exact), (&Match{Headers: []MatchValue{{"a", `1\.2`}}, Cookies: []MatchValue{{"b", "^$"}}}); !cmp.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if back := MatchOf(exact).Conditions(); match.Overlap(back, exact) != match.Overlapping || slices.Equal(back, exact) {
		t.Errorf("%v", back)
	}
}
