package relay

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

// A line on which the session opens flows is for a pod that the laptop stands in for, and
// for a user who may execute commands there.
func TestFlowsFromTheSession(t *testing.T) {
	l := newLineLab(t)
	request := quote
	request.FromSession = true
	refused := func(when string) {
		t.Helper()
		_, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &request)
		var no *line.NoLineError
		if !errors.As(err, &no) || no.Verdict != frame.Denied {
			t.Errorf("%s: %v, want Denied", when, err)
		}
	}
	l.mayExec = true
	refused("the laptop stands in for no pod")
	var ic v1alpha1.Intercept
	if err := l.objects.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &ic); err != nil {
		t.Fatal(err)
	}
	ic.Status.StandIn = &v1alpha1.StandInStatus{Pod: quotePod.Name, UID: "p", Container: "app"}
	if err := l.objects.Update(t.Context(), &ic); err != nil {
		t.Fatal(err)
	}
	l.relay.cfg.Planner.Changed()
	l.mayExec = false
	refused("the user may not execute commands")
	l.mayExec = true

	c, h, w := l.offer(secret, handshake.Inbound)
	if w.Refusal != "" {
		t.Fatal(w.Refusal)
	}
	server, err := line.NewServer(ofAlice)
	if err != nil {
		t.Fatal(err)
	}
	agent := make(chan *line.Conn, 1)
	go func() {
		defer close(agent)
		f, err := line.Dial(context.Background(), l.agents, l.agent(quotePod), &request)
		if err != nil {
			t.Error(err)
			return
		}
		agent <- f
	}()
	j, err := handshake.ReadLineAssigned(c, &secret, h, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if !j.FromSession || j.Pod != "shop/quote-1" || j.Intercept != "shop/quote" {
		t.Errorf("the session is told %+v", j)
	}
	session, err := server.Accept(t.Context(), c, j)
	if err != nil {
		t.Fatal(err)
	}
	far, ok := <-agent
	if !ok {
		t.FailNow()
	}
	go line.ServeEach(far, func(f tunnel.Stream) {
		if o, err := frame.ReadOpen(f); err == nil && o.Kind == frame.Environment {
			frame.WriteVerdict(f, frame.Accepted)
			io.WriteString(f, "A=1")
			f.CloseWrite()
		}
		f.Close()
	})
	session.SetReadDeadline(time.Now().Add(20 * time.Second))
	v, _, err := line.Ask(t.Context(), session, &frame.Open{Kind: frame.Environment, Intercept: "shop/quote", InterceptUID: "i", Session: "alice"})
	if err != nil || v != frame.Accepted {
		t.Fatalf("verdict %v, %v", v, err)
	}
	if got, err := io.ReadAll(session); err != nil || string(got) != "A=1" {
		t.Errorf("the session reads %q, %v", got, err)
	}

	l.mayExec = false
	l.session.lines.closeAssigned(func(x *assignedLine) bool { return !l.relay.mayReach(l.session, x.pod, x.request) })
	if _, _, err := line.Ask(t.Context(), session, &frame.Open{Kind: frame.Environment}); err == nil {
		t.Error("the line is still there although the user may not execute commands any more")
	}
}
