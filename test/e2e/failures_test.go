//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// intercepted is what every failure begins with: alice has deployment quote.
func intercepted(t *testing.T) (l *lab.Lab, quote string, alice *lab.Laptop, program *lab.Program) {
	t.Helper()
	l = lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote = l.Serving("quote", "http")
	alice = l.Laptop("alice")
	program = alice.Serve("alice")
	alice.Intercept("add", "quote", "--port", program.To(""))
	l.Answers(quote, "alice")
	return l, quote, alice, program
}

// moment is the promise: whatever dies, the application answers within it.
const moment = 2 * time.Second

// gap judges a stream of requests over a failure: the application answers
// while the laptop cannot, and no request fails for longer than a moment.
func gap(l *lab.Lab, stream *lab.Tally) {
	l.Helper()
	answers, failures := stream.Stop()
	l.Logf("answers: %v, failures: %v", answers, failures)
	if answers[lab.Application] == 0 {
		l.Error("the application did not answer meanwhile")
	}
	if outage := stream.Outage(); outage > moment {
		l.Errorf("requests failed for %s, longer than %s", outage, moment)
	}
}

// TestAgentKilled: the kernel takes the redirect away with the agent, and a
// new one comes by itself.
func TestAgentKilled(t *testing.T) {
	l, quote, _, _ := intercepted(t)
	pod := l.Pod()
	stream := l.Stream(quote)
	l.KillAgent(pod)
	l.Soon(2*time.Second, quote, lab.Application)
	l.Until("a new agent has taken over", func() error {
		return l.Answered(quote, "alice")
	})
	gap(l, stream)
	l.State("quote", v1alpha1.StateActive)
	if n := len(l.Pod().Spec.EphemeralContainers); n != 2 {
		t.Errorf("the pod has had %d agents, want 2", n)
	}
}

// TestSessionKilled: the application answers at once, and the next add takes
// over what the crash left.
func TestSessionKilled(t *testing.T) {
	l, quote, alice, program := intercepted(t)
	before := alice.Status().Session
	stream := l.Stream(quote)
	l.Must(syscall.Kill(before.PID, syscall.SIGKILL))
	took := l.Soon(2*time.Second, quote, lab.Application)
	t.Logf("the application answers after %s", took)
	l.Until("a caller of the stream hears it", func() error {
		if stream.Answers(lab.Application) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	gap(l, stream)
	l.State("quote", v1alpha1.StateDisconnected)
	l.Until("status says what was gone", func() error {
		out, err := alice.RunQuiet("status")
		if err == nil && !strings.Contains(out, "answered by the application: the session had no connection to the traffic-manager") {
			err = errors.New(out)
		}
		if strings.Contains(out, "nothing listens") {
			t.Fatalf("the program listens, and status says\n%s", out)
		}
		return err
	})
	alice.Intercept("add", "quote", "--port", program.To(""))
	l.Answers(quote, "alice")
	if after := alice.Status().Session; after.Session != before.Session || after.PID == before.PID {
		t.Errorf("session %+v was not taken over: now %+v", before, after)
	}
}

// TestLocalPortClosed: the application answers, or with --no-fallback nobody,
// and status tells either way.
func TestLocalPortClosed(t *testing.T) {
	l, quote, alice, program := intercepted(t)
	tells := func(text string) {
		t.Helper()
		l.Until("status tells", func() error {
			out, err := alice.RunQuiet("status")
			if err == nil && !strings.Contains(out, fmt.Sprintf("%s: nothing listens on 127.0.0.1:%d", text, program.Port)) {
				err = errors.New(out)
			}
			return err
		})
	}
	program.Close()
	l.Answers(quote, lab.Application)
	tells("answered by the application")
	o := alice.Intercept("add", "quote", "--port", program.To(""), "--no-fallback")
	if !strings.Contains(o.Err, "until something does, callers are refused") {
		t.Error("add does not warn")
	}
	l.Until("callers are refused", func() error {
		if who, err := l.Nodes[0].Ask(t.Context(), quote); err == nil {
			return fmt.Errorf("%s answers", who)
		}
		return nil
	})
	tells("refused")
	alice.ServeAt("alice", program.Port)
	l.Eventually(quote, "alice")
}

// TestManagerDeleted: the application answers until there is another
// traffic-manager and the laptop has found it.
func TestManagerDeleted(t *testing.T) {
	l, quote, alice, _ := intercepted(t)
	session := alice.Status().Session
	stream := l.Stream(quote)
	l.Must(l.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(lab.ManagerNamespace)))
	l.Until("the laptop is connected with another relay", func() error { return moved(alice, session.Relay) })
	l.Eventually(quote, "alice")
	gap(l, stream)
	if after := alice.Status().Session; after.PID != session.PID {
		t.Error("the session was restarted")
	}
	l.State("quote", v1alpha1.StateActive)
}

func moved(p *lab.Laptop, from string) error {
	if s := p.Status().Session; !s.Connected || s.Relay == from {
		return fmt.Errorf("connected %t, relay %s", s.Connected, s.Relay)
	}
	return nil
}

// TestAPIServerRestarted: every carrier goes through it. All resumes by itself.
func TestAPIServerRestarted(t *testing.T) {
	l, quote, alice, _ := intercepted(t)
	session := alice.Status().Session
	stream := l.Stream(quote)
	l.Must(l.Restart(t.Context(), "kube-apiserver"))
	l.Until("the laptop is connected", func() error { return moved(alice, "") })
	l.Eventually(quote, "alice")
	gap(l, stream)
	if after := alice.Status().Session; after.PID != session.PID || after.Session != session.Session {
		t.Errorf("session %+v became %+v", session, after)
	}
	l.State("quote", v1alpha1.StateActive)
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
}

// TestCablePulled drops every packet between laptop and API server: there is
// no reset that tells either side.
func TestCablePulled(t *testing.T) {
	l, quote, alice, _ := intercepted(t)
	nft := func(rules string) {
		t.Helper()
		_, err := alice.Nft(rules)
		l.Must(err)
	}
	nft(`table inet cable { chain out { type filter hook output priority 0; oifname != "lo" drop; }; }`)
	plug := func() { nft("delete table inet cable") }
	t.Cleanup(func() { _, _ = alice.Nft("destroy table inet cable") }) // if not done below
	start := time.Now()
	// A request waits as long as a laptop may take, then it is answered.
	l.Within(10*time.Second, "the application answers", func() error { return l.Answered(quote, lab.Application) })
	t.Logf("the application answers after %s", time.Since(start))
	l.State("quote", v1alpha1.StateDisconnected)
	t.Logf("the manager knows after %s", time.Since(start))
	l.Answers(quote, lab.Application)
	plug()
	start = time.Now()
	l.Eventually(quote, "alice")
	t.Logf("resumed after %s", time.Since(start))
}
