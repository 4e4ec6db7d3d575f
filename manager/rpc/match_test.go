package rpc_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Conditions arrive as they were sent, for every part and op.
func TestMatch(t *testing.T) {
	var all match.Conditions
	for part, name := range rpc.Condition_Part_name {
		if part == 0 {
			continue
		}
		c := match.Condition{Part: match.Part(part), Op: match.Exact, Name: "a", Value: "/x"}
		if c.Part.String() != strings.ToLower(name) {
			t.Errorf("%s is %s", name, c.Part)
		}
		if !c.Part.Named() {
			c.Name = ""
		}
		if c.Part == match.Method {
			c.Value = "GET"
		}
		all = append(all, c)
	}
	if len(all) != int(match.Method) {
		t.Errorf("%d parts", len(all))
	}
	all = append(all, match.Condition{Part: match.Path, Op: match.Prefix, Value: "/"}, match.Condition{Part: match.Header, Op: match.Regexp, Name: "a", Value: "b.*"})
	got, err := rpc.MatchOf(all).Read()
	if err != nil || !slices.Equal(got, all) {
		t.Errorf("%v, %v", got, err)
	}
	for op, want := range map[match.Op]rpc.Condition_Op{match.Regexp: rpc.Condition_REGEXP, match.Exact: rpc.Condition_EXACT, match.Prefix: rpc.Condition_PREFIX} {
		if rpc.Condition_Op(op) != want {
			t.Errorf("%d is %s", op, want)
		}
	}
}

// A condition of a newer traffic-manager is refused.
func TestMatchOfTheFuture(t *testing.T) {
	for _, c := range []*rpc.Condition{
		{}, {Part: rpc.Condition_PATH, Value: "/"}, {Part: 99, Op: rpc.Condition_EXACT, Name: "a"}, {Part: 256 + rpc.Condition_PATH, Op: rpc.Condition_EXACT, Value: "/"},
		{Part: rpc.Condition_PATH, Op: 99, Value: "/"},
	} {
		if _, err := (&rpc.Match{Conditions: []*rpc.Condition{c}}).Read(); err == nil || !strings.HasPrefix(err.Error(), rpc.OlderAgent) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if all, err := (&rpc.Match{}).Read(); all != nil || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}
