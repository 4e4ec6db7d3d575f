package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// asked is a relay that counts how often it asks the API server, and whose cache, late,
// begins empty.
func asked(t *testing.T) (r *Relay, gets *atomic.Int64, late client.Client) {
	t.Helper()
	r, _ = newRelay(t)
	gets = new(atomic.Int64)
	live, ok := r.cfg.Reader.(client.WithWatch)
	if !ok {
		t.Fatal("the API server is no fake")
	}
	r.cfg.Reader = interceptor.NewClient(live, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			gets.Add(1)
			return c.Get(ctx, key, o, opts...)
		}})
	late = fake.NewClientBuilder().WithScheme(live.Scheme()).Build()
	r.cfg.Cache = late
	return r, gets, late
}

// sessionObject is a Session object with the tests' key.
func sessionObject(name string) *v1alpha1.Session {
	return &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: name},
		Spec: v1alpha1.SessionSpec{User: "alice", PublicKey: key}}
}

// A name that does not exist is asked about once, and a thousand names not a thousand times.
func TestInventedNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, gets, _ := asked(t)
		hello := func(name, from string) error {
			_, err := r.authenticate(t.Context(), &handshake.Hello{Session: name}, key, from)
			return err
		}
		for range 1000 {
			if err := hello("invented", "10.0.0.66"); !errors.Is(err, errKey) {
				t.Fatal(err)
			}
		}
		if n := gets.Load(); n != 1 {
			t.Errorf("the API server was asked %d times about one name", n)
		}
		done := make(chan bool, 1000)
		for i := range 1000 {
			go func() { hello(fmt.Sprint("invented-", i), "10.0.0.66"); done <- true }()
		}
		for range 1000 {
			<-done
		}
		if n := gets.Load(); n > 100 {
			t.Errorf("it was asked %d times about a thousand names", n)
		}
		time.Sleep(inventedLife)
		if before := gets.Load(); hello("invented", "10.0.0.1") == nil || gets.Load() != before+1 {
			t.Error("the name is remembered for ever")
		}
	})
}

// While an address has used up its questions, a Session that was made a moment ago is
// admitted from another address at once, and from the same one as soon as the cache has it.
func TestNewSessionBesideStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, cache := asked(t)
		for r.cfg.Budget.Lookups.Allow("10.0.0.66") == nil {
		}
		hello := &handshake.Hello{Session: "alice"}
		began := time.Now()
		if _, err := r.authenticate(t.Context(), hello, key, "10.0.0.1"); err != nil || time.Since(began) != 0 {
			t.Errorf("from another address: %v after %s", err, time.Since(began))
		}
		time.AfterFunc(200*time.Millisecond, func() {
			if err := cache.Create(t.Context(), sessionObject("alice")); err != nil {
				t.Error(err)
			}
		})
		if _, err := r.authenticate(t.Context(), hello, key, "10.0.0.66"); err != nil || time.Since(began) > 300*time.Millisecond {
			t.Errorf("from the same address: %v after %s", err, time.Since(began))
		}
		// Known by its key, it asks nobody's leave. Somebody who knows its name alone does.
		if _, err := r.authenticate(t.Context(), hello, key, "10.0.0.66"); err != nil {
			t.Error(err)
		}
		for r.cfg.Budget.Lookups.Allow("10.0.0.66") == nil {
		}
		_, err := r.authenticate(t.Context(), &handshake.Hello{Session: "alice"}, "", "10.0.0.66")
		if err == nil || !strings.Contains(err.Error(), "stranger 10.0.0.66 has all of its 10 unknown sessions a second") {
			t.Errorf("a name without the key: %v", err)
		}
	})
}

// A name that somebody asked for before there was such a Session is not refused once it is
// there.
func TestNameAskedForTooEarly(t *testing.T) {
	r, _, _ := asked(t)
	hello := &handshake.Hello{Session: "carol"}
	if _, err := r.authenticate(t.Context(), hello, key, "10.0.0.66"); !errors.Is(err, errKey) {
		t.Fatal(err)
	}
	live, ok := r.cfg.Reader.(client.Client)
	if !ok {
		t.Fatal("the API server is no fake")
	}
	if err := live.Create(t.Context(), sessionObject("carol")); err != nil {
		t.Fatal(err)
	}
	r.Created("carol") // the informer has it
	if _, err := r.authenticate(t.Context(), hello, key, "10.0.0.66"); err != nil {
		t.Error(err)
	}
}

// Names are remembered, but not any number of them.
func TestInventedNamesAreBounded(t *testing.T) {
	n := newInvented()
	for i := range 3 * inventedMax {
		n.add(fmt.Sprint(i))
	}
	if len(n.until) > inventedMax || !n.has(fmt.Sprint(3*inventedMax-1)) {
		t.Errorf("%d names", len(n.until))
	}
}

// A session that begins carriers without an end is refused, and another one is not.
func TestHellosOfOneSession(t *testing.T) {
	r, _, _ := asked(t)
	for r.cfg.Budget.Hellos.Allow("alice") == nil {
	}
	_, err := r.admit(&handshake.Hello{Session: "alice"}, key, "10.0.0.1")
	if err == nil || !strings.Contains(err.Error(), "session alice has all of its 10 new carriers a second") {
		t.Error(err)
	}
	if r.Connected("alice") {
		t.Error("the carrier is counted")
	}
}

// A session's flows on carriers are bounded, and it is told why; another session's go on.
func TestOutboundFlowsOfOneSession(t *testing.T) {
	r, _ := newRelay(t)
	alice, bob := &session{name: "alice"}, &session{name: "bob"}
	alice.owner.Store(userOf("alice"))
	bob.owner.Store(userOf("bob"))
	release, err := r.flowOf(alice)
	n := 0
	for ; err == nil; n++ {
		_, err = r.flowOf(alice)
	}
	var denied *frame.DeniedError
	if n != 2048 || !errors.As(err, &denied) || !strings.Contains(denied.Reason, "session alice has all of its 2048 flows") {
		t.Errorf("flow %d: %v", n, err)
	}
	if _, err := r.flowOf(bob); err != nil {
		t.Errorf("another session: %v", err)
	}
	release()
	if _, err := r.flowOf(alice); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

// Flows of pods to a session without a flow left are denied, so the application answers.
func TestInboundFlowsOfOneSession(t *testing.T) {
	l := newLineLab(t)
	for {
		if _, err := l.relay.cfg.Budget.Flow("alice", "alice"); err != nil {
			break
		}
	}
	agent, relay := tunneltest.Pair(t)
	go l.relay.serveFlow(quotePod, tunnel.NewTCP(relay))
	agent.SetReadDeadline(time.Now().Add(20 * time.Second))
	if err := frame.WriteOpen(agent, &frame.Open{Intercept: quote.Intercept, InterceptUID: quote.InterceptUID, Session: "alice", Port: 8080}); err != nil {
		t.Fatal(err)
	}
	v, reason, err := frame.ReadAnswer(agent)
	if err != nil || v != frame.Denied || !strings.Contains(reason, "session alice has all of its 2048 flows") {
		t.Errorf("%s, %q, %v", v, reason, err)
	}
}

// A session without a line left hears why, and agents take a carrier.
func TestLinesOfOneSession(t *testing.T) {
	l := newLineLab(t)
	for {
		if _, err := l.relay.cfg.Budget.Line("alice", "alice"); err != nil {
			break
		}
	}
	c, _, w := l.offer(secret, handshake.Outbound)
	if !strings.Contains(w.Refusal, "session alice has all of its 1024 lines") {
		t.Errorf("refusal %q", w.Refusal)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the refused line: %v", err)
	}
	l.serve()
	if _, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &quote); err == nil || !strings.Contains(err.Error(), frame.NoLine.String()) {
		t.Errorf("an agent's line: %v", err)
	}
}

// The windows of a user's sessions are one budget, and it is gone with the last of them.
func TestWindowsOfUsers(t *testing.T) {
	r, _ := newRelay(t)
	first, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 1}, key, userOf("alice"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 2}, key, userOf("alice"))
	if err != nil {
		t.Fatal(err)
	}
	if n := r.windows.users["alice"].sessions; n != 2 {
		t.Errorf("%d sessions", n)
	}
	r.removeCarrier(first)
	if r.windows.users["alice"] == nil {
		t.Error("the budget is gone before the session")
	}
	r.removeCarrier(second)
	if len(r.windows.users) != 0 {
		t.Error("the budget is left")
	}
}
