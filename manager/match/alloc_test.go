//go:build !race

package match

import (
	"fmt"
	"slices"
	"testing"
)

// A decision allocates nothing, also where members are decoded. With the race detector
// pools give memory away.
func TestFindAllocatesNothing(t *testing.T) {
	sets := many(250, func(i int) Conditions { return Conditions{header("x-user", fmt.Sprintf("user-%d", i))} })
	sets = append(sets, Conditions{baggage("user", "lou.*")}, Conditions{cookie("id", "(?i)louise")}, Conditions{query("q", "a b"), path(Prefix, "/api")})
	table, err := New(sets)
	if err != nil {
		t.Fatal(err)
	}
	r := request("GET /api?q=a+b\nhost: quote\nx-user: user-7\nbaggage: a=b,user=lou%20ise\ncookie: id=Louise")
	found := make([]int, 0, 8)
	if n := testing.AllocsPerRun(1000, func() { found = table.Find(r, found[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	counts := make([]*Counts, len(sets))
	for i, set := range sets {
		counts[i] = NewCounts(len(set))
	}
	if n := testing.AllocsPerRun(1000, func() { table.Count(r, counts) }); n != 0 {
		t.Errorf("%v allocations to count", n)
	}
	if !slices.Equal(found, []int{7, 250, 251, 252}) {
		t.Errorf("%v", found)
	}
}
