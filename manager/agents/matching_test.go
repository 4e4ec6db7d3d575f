package agents

import (
	"fmt"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// follow has agents follow a match.
func (s *store) follow(m *v1alpha1.Match) {
	s.t.Helper()
	ic := s.intercept()
	ic.Status.Match = m
	if err := s.Status().Update(s.t.Context(), ic); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) intercept() *v1alpha1.Intercept {
	s.t.Helper()
	var ic v1alpha1.Intercept
	if err := s.Get(s.t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &ic); err != nil {
		s.t.Fatal(err)
	}
	return &ic
}

// compared is a report about a match.
func compared(m *v1alpha1.Match, requests, taken uint64, met []uint64, headers ...string) *rpc.AgentReport {
	return &rpc.AgentReport{Routes: []*rpc.RouteReport{{Port: 80, InterceptUid: "u", Comparison: &rpc.Comparison{
		Match: rpc.MatchOf(m.Conditions()), Requests: requests, Taken: taken, Compared: requests, Met: met, PassedSince: 1_700_000_000_999, Headers: headers}}}}
}

// What the agents of all replicas say about a match is summed up. Names of headers are kept
// until a request is taken, and reports about another match count nothing.
func TestMatchingIsSummedUp(t *testing.T) {
	m := &v1alpha1.Match{Headers: []v1alpha1.MatchValue{{Name: "x-usr", Regexp: "alice"}}, Method: "GET"}
	s := newStore(t)
	v, w := s.replica(), s.replica()
	is := func(want string) {
		t.Helper()
		s.pods(v, w)
		got := "nothing"
		if m := s.intercept().Status.Matching; m != nil {
			got = fmt.Sprintf("%d of %d, %v, %v", m.Taken, m.Requests, m.Conditions, m.Headers)
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	a := v.connect(t.Context(), pod("quote-1"), compared(m, 3, 0, []uint64{0, 3}, "accept", "x-user"))
	is("nothing")
	s.follow(m)
	is(`0 of 3, [{header("x-usr") ~= regexp("alice") 0} {method == "GET" 3}], [accept x-user]`)
	w.connect(t.Context(), pod("quote-2"), compared(m, 2, 0, []uint64{0, 1}, "accept", "host"))
	is(`0 of 5, [{header("x-usr") ~= regexp("alice") 0} {method == "GET" 4}], [accept host x-user]`)
	if at := s.intercept().Status.Matching.PassedSince; at == nil || at.Unix() != 1_700_000_000 {
		t.Errorf("since %v", at)
	}
	v.report(a, compared(m, 4, 1, []uint64{1, 4}))
	is(`1 of 6, [{header("x-usr") ~= regexp("alice") 1} {method == "GET" 5}], []`)

	other := &v1alpha1.Match{Headers: []v1alpha1.MatchValue{{Name: "x-user", Regexp: "alice"}}, Method: "GET"}
	s.follow(other)
	is("nothing")
	v.report(a, compared(other, 1, 0, []uint64{0, 1}, "te"))
	is(`0 of 1, [{header("x-user") ~= regexp("alice") 0} {method == "GET" 1}], [te]`)
	s.follow(nil)
	is("nothing")
}

// Replicas agree on the names if there are too many.
func TestTooManyHeaders(t *testing.T) {
	m := &v1alpha1.Match{Method: "PUT"}
	s := newStore(t)
	s.follow(m)
	v, w := s.replica(), s.replica()
	for i, r := range []*statusWriter{v, w} {
		var names []string
		for n := range v1alpha1.MaxHeaders {
			names = append(names, fmt.Sprintf("x-%02d-%d", n, i))
		}
		r.connect(t.Context(), pod(fmt.Sprint("quote-", i)), compared(m, 1, 0, []uint64{0}, names...))
	}
	s.pods(v, w)
	first := s.intercept()
	s.pods(w, v)
	got := s.intercept()
	if h := got.Status.Matching.Headers; len(h) != v1alpha1.MaxHeaders || !slices.IsSorted(h) || got.ResourceVersion != first.ResourceVersion {
		t.Errorf("%d names %v", len(h), h)
	}
}
