package traffic

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func number(n int64) *int64 { return &n }

// A session with carriers at two replicas has one entry for each subject.
func TestMerge(t *testing.T) {
	bob := Entry{User: "bob", Session: "b", Direction: "outbound", Way: "line", Flows: number(1), Down: 5}
	first := Entry{User: "alice", Session: "a", Intercept: "shop/quote", Direction: "inbound", Way: "line", Lines: 2, Down: 10, UpRate: 1}
	second := Entry{User: "alice", Session: "a", Intercept: "shop/quote", Direction: "inbound", Way: "line", Lines: 1, Up: 3, UpRate: 2}
	dialed := Entry{User: "alice", Session: "a", Direction: "outbound", Way: "line", Flows: number(2)}
	want := []Entry{
		{User: "alice", Session: "a", Direction: "outbound", Way: "line", Flows: number(4)},
		{User: "alice", Session: "a", Intercept: "shop/quote", Direction: "inbound", Way: "line", Lines: 3, Down: 10, Up: 3, UpRate: 3},
		bob,
	}
	if diff := cmp.Diff(want, Merge([]Entry{bob, first, dialed}, nil, []Entry{second, dialed})); diff != "" {
		t.Error(diff)
	}
	if *dialed.Flows != 2 {
		t.Error("Merge changes what it is given")
	}
}
