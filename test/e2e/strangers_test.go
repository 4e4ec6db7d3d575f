//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestStrangers: while a thousand connections say nothing and a thousand Hellos name Sessions
// that do not exist, no caller of an intercept misses an answer, and another user connects
// and intercepts.
func TestStrangers(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.Apply("quote.yaml", "name: quote", "name: hello", "app: quote", "app: hello")
	quote, hello := l.Serving("quote", "http"), l.Serving("hello", "http")
	alice, bob, mallory := l.Laptop("alice"), l.Laptop("bob"), l.Laptop("mallory")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	manager := managers(l)[0].Status.PodIP

	ctx, stop := context.WithCancel(l.Context())
	defer stop()
	var strangers sync.WaitGroup
	var dialed, knocked, unanswered atomic.Int64
	for i := range 1000 {
		strangers.Go(func() {
			for ctx.Err() == nil {
				c, err := l.Nodes[i%len(l.Nodes)].Dial(ctx, "tcp", net.JoinHostPort(manager, "443"))
				if err != nil {
					return
				}
				dialed.Add(1)
				over := context.AfterFunc(ctx, func() { c.Close() })
				io.Copy(io.Discard, c) // until it makes room
				over()
				c.Close()
				select {
				case <-time.After(2 * time.Second):
				case <-ctx.Done():
				}
			}
		})
	}
	l.Until("a thousand connections are there", func() error {
		if n := dialed.Load(); n < 1000 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	traffic := l.Stream(quote)
	for i := range 100 {
		strangers.Go(func() {
			for n := range 10 {
				switch refusal, err := mallory.TryKnock(fmt.Sprintf("mallory-%d-%d", i, n), handshake.RandomIdentity()); {
				case err != nil:
					unanswered.Add(1)
				case refusal != "":
					knocked.Add(1)
				default:
					t.Error("an invented session is admitted")
				}
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	bob.Intercept("add", "hello", "--port", bob.Serve("bob").To(""))
	l.Answers(hello, "bob")
	l.Until("hundreds of Hellos are refused", func() error {
		if n := knocked.Load(); n < 300 {
			return fmt.Errorf("%d are, and %d had no answer", n, unanswered.Load())
		}
		return nil
	})
	answers, failures := traffic.Stop()
	if len(failures) > 0 || answers["alice"] < 100 || len(answers) > 1 {
		t.Errorf("callers had %v, and %d failures: %v", answers, len(failures), failures)
	}
	metrics, err := l.Nodes[0].HTTP().Get("http://" + net.JoinHostPort(manager, "8080") + "/metrics")
	l.Must(err)
	defer metrics.Body.Close()
	text, err := io.ReadAll(metrics.Body)
	l.Must(err)
	if metrics.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s", metrics.Status)
	}
	var counted []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "traffic_manager_refusals_total") || strings.HasPrefix(line, "traffic_manager_in_use") {
			counted = append(counted, strings.TrimSpace(line))
		}
	}
	for _, reason := range []string{"connections", "unknown sessions"} {
		if !strings.Contains(strings.Join(counted, "\n"), `traffic_manager_refusals_total{peer="stranger",reason="`+reason+`"}`) {
			t.Errorf("no refusals of %s are counted: %q", reason, counted)
		}
	}
	t.Logf("%d connections, %d Hellos refused, %d not answered; callers %v; %s", dialed.Load(), knocked.Load(), unanswered.Load(), answers, strings.Join(counted, "; "))
	stop()
	strangers.Wait()
}
