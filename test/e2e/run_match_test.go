//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestRunMatch: of a workload's requests, a program that the plugin runs gets those that
// match. Other requests go elsewhere before, meanwhile and afterwards.
func TestRunMatch(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice, bob := ordinaryUser(l, l.Laptop("alice"), 12345), l.Laptop("bob")
	a, b := people[0], people[1]
	bob.Intercept("add", "quote", "--port", bob.Serve("bob").To(""), "--match", b.match)

	r := alice.begin(l.Namespace, "run", "quote", "--port", "8080", "--match", a.match, "--",
		l.Bin("quote"), "-name", a.name, "-listen", "127.0.0.1:8080")
	inApplication := person{lab.Application, "", a.mark}
	comes := func(to person) {
		t.Helper()
		l.Until(fmt.Sprintf("requests that match come to %s", to.name), func() error {
			c, err := keep(l, l.Nodes[1], quote)
			l.Must(err)
			defer c.conn.Close()
			l.Must(inTurn(quote, c.as, 1, []person{nobody, b}))
			return inTurn(quote, c.as, 1, []person{to})
		})
	}
	comes(a)
	noneAstray(l, []string{quote, quote}, nobody, a, b)
	l.Must(r.Process.Signal(unix.SIGTERM))
	alice.ends(r)
	comes(inApplication)
	noneAstray(l, []string{quote}, nobody, inApplication, b)
}
