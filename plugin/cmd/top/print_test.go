package top

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
)

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 1023: "1023", 1024: "1.0Ki", 10 << 10: "10Ki", 1 << 20: "1.0Mi", 1<<20 - 1: "1.0Mi",
		9_990_000: "9.5Mi", 500 << 30: "500Gi", 3 << 40: "3.0Ti", 1 << 62: "4096Pi"} {
		if got := size(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// Each order begins with another of three entries.
func TestOrder(t *testing.T) {
	two := int64(2)
	list := []traffic.Entry{
		{User: "bob", Host: "a", Intercept: "shop/b", Flows: &two, Down: 5},
		{User: "alice", Host: "b", Intercept: "shop/c", Lines: 3, Up: 1},
		{User: "carol", Host: "c", Intercept: "shop/a", Up: 4, DownRate: 1},
	}
	for by, want := range map[string]string{"user": "alice", "host": "bob", "intercept": "carol", "flows": "alice", "bytes": "bob", "rate": "carol"} {
		order(list, by)
		if got := list[0].User; got != want {
			t.Errorf("by %s: %s is first, want %s", by, got, want)
		}
	}
	if len(orders()) != 6 {
		t.Error("an order is not tested")
	}
}
