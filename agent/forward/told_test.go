package forward_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// asking are laptops whose sessions ask which headers there were.
type asking struct {
	laptops
	answers chan *frame.Open
}

// Open implements forward.Opener.
func (a asking) Open(ctx context.Context, owner *relay.Owner, open *frame.Open) (tunnel.Stream, error) {
	if open.Kind != frame.Headers {
		return a.laptops.Open(ctx, owner, open)
	}
	if open.Port != 80 {
		return nil, fmt.Errorf("port %d", open.Port)
	}
	o := *open
	o.Session = owner.Session
	a.answers <- &o
	return nil, &relay.VerdictError{Verdict: frame.Refused}
}

// next is the answer to a question, a header a line.
func (a asking) next(t *testing.T, session, question string) string {
	t.Helper()
	o := <-a.answers
	if o.Session != session || o.Target != question || len(o.First) > frame.MaxFirst {
		t.Errorf("%q is told to %q, in %d bytes", o.Target, o.Session, len(o.First))
	}
	var seen rpc.SeenHeaders
	if err := proto.Unmarshal(o.First, &seen); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, h := range seen.Headers {
		if h.Name != "accept-encoding" && h.Name != "host" && h.Name != "user-agent" {
			lines = append(lines, fmt.Sprintf("%s %q masked=%v", h.Name, h.Values, h.Masked))
		}
	}
	return strings.Join(lines, "\n")
}

// The owner of a route that took nothing is told values when it asks, once for each
// question. Credentials are masked, but for the owner of a condition on them.
func TestValuesAreToldWhenAsked(t *testing.T) {
	a := asking{laptops{"alice": laptop(website(t, "alice")), "bob": laptop(website(t, "bob"))}, make(chan *frame.Open, 10)}
	l := capturing(t, website(t, "app"), a)
	alice, bob := personal("alice"), personal("bob")
	alice.Match.Conditions[0].Name = "x-usr"
	bob.Match.Conditions = append(bob.Match.Conditions, &rpc.Condition{Part: rpc.Condition_HEADER, Name: "X-Token", Op: rpc.Condition_EXACT, Value: "t"})
	set := func(ofAlice, ofBob string) {
		alice.Question, bob.Question = ofAlice, ofBob
		l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{proto.CloneOf(alice), proto.CloneOf(bob)}})
	}
	set("", "")
	client := clients(t)["HTTP/1"]
	send := func(user, token string) {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+address(l)+"/", nil)
		r.Header = http.Header{"X-User": {user}, "X-Token": {token}, "Authorization": {"Bearer s3cret"}, "X-Api-Key": {"s3cret"}}
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
	}
	long := strings.Repeat("l", 200)
	for _, user := range []string{"1", "2", "2", long, "3"} {
		send(user, "t0")
	}
	set("first", "")
	users := fmt.Sprintf("x-user [%q %q %q] masked=false", "3", "2", long[:128])
	if got, want := a.next(t, "alice", "first"), "authorization [] masked=true\nx-api-key [] masked=true\nx-token [] masked=true\n"+users; got != want {
		t.Errorf("alice is told\n%s\nwant\n%s", got, want)
	}
	set("first", "second")
	if got, want := a.next(t, "bob", "second"), `authorization [] masked=true`+"\n"+`x-api-key [] masked=true`+"\n"+`x-token ["t0"] masked=false`+"\n"+users; got != want {
		t.Errorf("bob is told\n%s\nwant\n%s", got, want)
	}

	send("bob", "t")
	set("first", "third")
	if got := a.next(t, "bob", "third"); got != "" {
		t.Errorf("bob, whose requests come, is told\n%s", got)
	}
	if len(a.answers) > 0 {
		t.Error("a question is answered twice")
	}
}
