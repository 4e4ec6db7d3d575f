package forward_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// compared is the comparison of a user's route in short.
func compared(l *tcp.Listener, user string) string {
	c := counts(l, user).Comparison
	return fmt.Sprintf("%d requests, %d taken, %d met all, each %v", c.Requests, c.Taken, c.MetAll, c.Met)
}

// Each condition of a route is counted, and names of headers are kept, until the route takes a
// request.
func TestComparison(t *testing.T) {
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			l := team(t)
			typo := personal("alice")
			typo.Match.Conditions[0].Name = "x-usr"
			typo.Match.Conditions = append(typo.Match.Conditions, &rpc.Condition{Part: rpc.Condition_PATH, Op: rpc.Condition_PREFIX, Value: "/api"})
			routes := []*rpc.Route{typo, personal("bob")}
			l.Route(&rpc.CapturePort{Port: 80, Routes: routes})
			is := func(user, want string) {
				t.Helper()
				if got := compared(l, user); got != want {
					t.Errorf("%s: %s, want %s", user, got, want)
				}
			}
			is("alice", "0 requests, 0 taken, 0 met all, each [0 0]")
			ask(t, client, l, "alice", "/api/1", "app")
			ask(t, client, l, "bob", "/", "bob")
			is("alice", "2 requests, 0 taken, 0 met all, each [0 1]")
			is("bob", "2 requests, 1 taken, 1 met all, each [1]")
			c := counts(l, "alice").Comparison
			if c.PassedSince == 0 || c.Compared != 2 || !slices.Contains(c.Headers, "x-user") || !slices.IsSorted(c.Headers) || strings.Contains(fmt.Sprint(c.Headers), "alice") {
				t.Errorf("%v", c)
			}
			if c := counts(l, "bob").Comparison; len(c.Headers) != 0 {
				t.Errorf("names are told of a route that took a request: %v", c)
			}
			l.Route(&rpc.CapturePort{Port: 80, Routes: routes}) // the same conditions
			is("alice", "2 requests, 0 taken, 0 met all, each [0 1]")

			l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), personal("bob")}})
			is("alice", "0 requests, 0 taken, 0 met all, each [0]")
			ask(t, client, l, "alice", "/", "alice")
			is("alice", "1 requests, 1 taken, 1 met all, each [1]")
			if c := counts(l, "alice").Comparison; c.PassedSince != 0 || len(c.Headers) != 0 {
				t.Errorf("%v", c)
			}
		})
	}
}

// Traffic that a route does not take makes few reports, and few comparisons between two.
func TestComparisonIsSeldomNews(t *testing.T) {
	const requests = 1000
	client := clients(t)["HTTP/1"]
	l := team(t)
	counts(l, "alice") // a look at the counters
	for range requests {
		ask(t, client, l, "", "/", "app")
	}
	if c := counts(l, "alice").Comparison; c.Requests != requests || c.Compared < 64 || c.Compared >= requests {
		t.Errorf("%v", c)
	}
	news, last := 0, counts(l, "alice").Comparison
	for range requests {
		ask(t, client, l, "", "/", "app")
		if c := counts(l, "alice").Comparison; c != last {
			news, last = news+1, c
		}
	}
	if news == 0 || news > 4 || last.Requests < requests*8/5 {
		t.Errorf("%d reports had news, the last is %v", news, last)
	}
}

// However many names callers make up, a bounded number is kept, and none that is none.
func TestHeaderNamesAreBounded(t *testing.T) {
	client := clients(t)["HTTP/1"]
	l := team(t)
	for n := range 10 {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+address(l), nil)
		r.Header.Set(strings.Repeat("x", 65), "long")
		for k := range 10 {
			r.Header.Set(fmt.Sprintf("x-%d-%d", n, k), "secret")
		}
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
	}
	c := counts(l, "alice").Comparison
	if len(c.Headers) != 40 || slices.ContainsFunc(c.Headers, func(h string) bool { return len(h) > 64 || strings.Contains(h, "secret") }) {
		t.Errorf("%d names: %v", len(c.Headers), c.Headers)
	}
}
