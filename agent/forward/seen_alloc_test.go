//go:build !race

package forward

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// counting is a Port with so many routes for single requests, and a request of none.
func counting(tb testing.TB, routes int) (*Port, *match.Request) {
	tb.Helper()
	p := NewPort(tb.Context(), 80, nil, nil, slog.New(slog.DiscardHandler))
	tb.Cleanup(func() { p.Set(nil) })
	c := &rpc.CapturePort{Port: 80}
	for n := range routes {
		c.Routes = append(c.Routes, &rpc.Route{Intercept: "shop/quote", InterceptUid: fmt.Sprint(n), Session: "s",
			Match: &rpc.Match{Conditions: []*rpc.Condition{{Part: rpc.Condition_HEADER, Name: "x-user", Op: rpc.Condition_REGEXP, Value: fmt.Sprintf("user-%d", n)}}}})
	}
	p.Set(c)
	r := &match.Request{Method: []byte("GET"), Path: []byte("/")}
	for _, name := range []string{"Host", "User-Agent", "Accept", "X-User", "traceparent", "Accept-Encoding"} {
		r.Fields = append(r.Fields, match.Field{Name: []byte(name), Value: []byte("value")})
	}
	return p, r
}

// What is counted of a request allocates nothing, whether it is compared with every
// condition or not.
func TestSeenAllocatesNothing(t *testing.T) {
	p, r := counting(t, 10)
	table := p.table.Load()
	for _, left := range []int64{1 << 30, 0} {
		p.seen.left.Store(left)
		if n := testing.AllocsPerRun(1000, func() { p.seen.request(table, r, nil, nil) }); n != 0 {
			t.Errorf("%v allocations with %d comparisons left", n, left)
		}
	}
}

func BenchmarkSeen(b *testing.B) {
	for _, routes := range []int{1, 250} {
		for what, left := range map[string]int64{"compared": 1 << 60, "counted": 0} {
			b.Run(fmt.Sprintf("%d routes, %s", routes, what), func(b *testing.B) {
				p, r := counting(b, routes)
				table := p.table.Load()
				p.seen.left.Store(left)
				for b.Loop() {
					p.seen.request(table, r, nil, nil)
				}
			})
		}
	}
}
