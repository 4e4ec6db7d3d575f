package match

import (
	"fmt"
	"testing"
)

// Each condition is counted, also where another one of the set does not hold, and agrees
// with what Find finds.
func TestCount(t *testing.T) {
	sets := []Conditions{
		{header("x-user", "alice"), path(Prefix, "/api"), cookie("id", "a.*")},
		{header("x-usr", "alice")},
		{},
		{header("x-user", ".*")},
	}
	table, err := New(sets)
	if err != nil {
		t.Fatal(err)
	}
	var counts []*Counts
	for _, set := range sets[:3] {
		counts = append(counts, NewCounts(len(set)))
	}
	found := make([]uint64, len(sets))
	for _, r := range []*Request{
		request("GET /api/v1\nx-user: alice"),
		request("GET /\nX-User: alice\ncookie: id=ann"),
		request("GET /api\nx-user: alice\ncookie: id=ann"),
		request("GET /other\nx-user: bob"),
	} {
		table.Count(r, counts)
		for _, set := range table.Find(r, nil) {
			found[set]++
		}
	}
	for set, want := range []string{"[3 2 2] 1", "[0] 0", "[] 4"} {
		c, met := counts[set], []uint64{}
		for i := range c.Met {
			met = append(met, c.Met[i].Load())
		}
		if got := fmt.Sprint(met, " ", c.All.Load()); got != want || c.All.Load() != found[set] || c.Requests.Load() != 4 {
			t.Errorf("%v of %d requests met %s, want %s; found %d", sets[set], c.Requests.Load(), got, want, found[set])
		}
	}
}
