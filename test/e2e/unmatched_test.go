//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestNoRequestsMatch: an intercept has a typing error in the name of its header, and other
// requests flow. Its owner is told so, with the names of the headers that there were, until
// a request meets the conditions.
func TestNoRequestsMatch(t *testing.T) {
	l := lab.New(t, clusters)
	upgrade(l, "--set", "intercept.unmatchedAfter=1s")
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	const secret = "Bearer-of-alice"
	port := alice.Serve("alice").To("")
	alice.Intercept("add", "quote", "--port", port, "--match", "x-usr=alice", "--match-path-prefix", "/")
	c, err := keep(l, l.Nodes[1], quote)
	l.Must(err)
	t.Cleanup(func() { c.conn.Close() })
	meant := person{lab.Application, "", func(h http.Header) { h.Set("X-User", "alice"); h.Set("Authorization", secret) }}
	ask := func(p person) error {
		got, err := c.as(p)
		if err == nil && got != p.name {
			err = fmt.Errorf("%q answers what is for %q", got, p.name)
		}
		return err
	}
	matched := func(want metav1.ConditionStatus, p person) *v1alpha1.Intercept {
		l.Helper()
		var i *v1alpha1.Intercept
		l.Until("the condition Matched is "+string(want), func() (err error) {
			if err = ask(p); err != nil {
				return err
			}
			if i, err = l.Get("quote"); err != nil {
				return err
			}
			if m := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionMatched); m == nil || m.Status != want {
				return fmt.Errorf("%+v, %+v", m, i.Status.Matching)
			}
			return nil
		})
		return i
	}

	i := matched(metav1.ConditionFalse, meant)
	const told = `no request had the header "x-usr"; headers seen: `
	if !strings.HasPrefix(i.Status.Message, told) || !strings.Contains(i.Status.Message, "authorization, ") || !strings.Contains(i.Status.Message, "x-user; send ") {
		t.Errorf("the message is %q", i.Status.Message)
	}
	if m := i.Status.Matching; m.Taken != 0 || m.Requests == 0 || m.Conditions[0].Met != 0 || m.Conditions[1].Met == 0 || m.Compared-m.Conditions[1].Met > 1 { // the agent may have been counting one
		t.Errorf("the counts are %+v", m)
	}
	status := alice.Intercept("status").Out
	for _, text := range []string{told, `      0: header("x-usr") ~= regexp("alice")`, "Did you mean: the header x-user", "Try it      : curl -H 'x-usr: alice' http://quote."} {
		if !strings.Contains(status, text) {
			t.Errorf("status does not say %q:\n%s", text, status)
		}
	}
	if wide := alice.Intercept("list", "-o", "wide").Out; !strings.Contains(wide, " (met each condition: 0, ") {
		t.Errorf("list -o wide:\n%s", wide)
	}
	var events string
	l.Until("an Event tells it", func() error {
		events, err = kubectl(l, "get", "events", "-n", l.Namespace, "--field-selector", "reason="+v1alpha1.ReasonNoRequest)
		if err == nil && (!strings.Contains(events, `intercept quote of alice takes no requests: no request had the header "x-usr"; `) || !strings.Contains(events, "x-user")) {
			err = fmt.Errorf("%s", events)
		}
		return err
	})
	const marker = "value-of-a-header"
	tell := person{lab.Application, "", func(h http.Header) { meant.mark(h); h.Set("X-Marker", marker) }}
	l.Must(ask(tell))
	values := alice.Intercept("status", "--show-values").Out
	for _, text := range []string{`      x-user: "alice"`, `      x-marker: "` + marker + `"`, "      authorization: hidden, since it may be a credential"} {
		if !strings.Contains(values, text) {
			t.Errorf("status --show-values does not say %q:\n%s", text, values)
		}
	}
	object, err := kubectl(l, "get", "intercept", "quote", "-n", l.Namespace, "-o", "yaml")
	l.Must(err)
	if strings.Contains(object+events+status, secret) || strings.Contains(object+events, marker) || strings.Contains(values, secret) {
		t.Error("the value of a header is told")
	}
	if strings.Contains(object, v1alpha1.ShowValuesKey) {
		t.Errorf("the question stays:\n%s", object)
	}

	// A request that meets the conditions, and then others again.
	l.Must(ask(person{"alice", "", header("X-Usr", "alice")}))
	i = matched(metav1.ConditionTrue, meant)
	if i.Status.Message != "" || len(i.Status.Matching.Headers) > 0 || i.Status.Matching.Taken != 1 {
		t.Errorf("message %q, %+v", i.Status.Message, i.Status.Matching)
	}
	if status := alice.Intercept("status").Out; strings.Contains(status, "no request had") || !strings.Contains(status, `      1: header("x-usr")`) {
		t.Errorf("status says\n%s", status)
	}

	// Other conditions are compared anew.
	alice.Intercept("add", "quote", "--port", port, "--match", "x-user=alice")
	l.Until("the new condition has taken requests", func() error {
		i := matched(metav1.ConditionTrue, person{"alice", "", meant.mark}) // maybe of the former conditions
		if m := i.Status.Matching; i.Status.Message != "" || m == nil || len(m.Conditions) != 1 || m.Taken == 0 {
			return fmt.Errorf("message %q, %+v", i.Status.Message, m)
		}
		return nil
	})
}
