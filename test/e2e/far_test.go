//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/delay"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// reroute has the API server that one laptop reaches reached from another, through
// a port of its own, and returns the kubeconfig for that.
func reroute(l *lab.Lab, from, by *lab.Laptop, oneWay time.Duration) string {
	l.Helper()
	ln, err := from.Space.Listen("127.0.0.1:0")
	l.Must(err)
	host := by.Config().Host
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := (delay.Proxy{Target: strings.TrimPrefix(host, "https://"), OneWay: oneWay, Dial: by.Space.Dial}).Serve(ctx, ln); err != nil {
			l.Error(err)
		}
	}()
	l.Cleanup(func() { cancel(); <-done })
	text, err := os.ReadFile(by.Kubeconfig)
	l.Must(err)
	path := filepath.Join(l.TempDir(), "kubeconfig")
	l.Must(os.WriteFile(path, []byte(strings.ReplaceAll(string(text), host, "https://"+ln.Addr().String())), 0o600))
	return path
}

// TestFar: where a round trip costs, a program's connect returns before the
// cluster has answered. What programs see of a connection is as before, but for
// one: a refusal is a reset.
func TestFar(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	addr := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	alice.Kubeconfig = reroute(l, alice, alice, 10*time.Millisecond)
	alice.Intercept("connect")
	if who, err := alice.Ask(t.Context(), addr); err != nil || who != lab.Application {
		t.Errorf("%q answers, %v", who, err)
	}
	p := &pod{t: t, l: l, alice: alice, space: l.Inside(l.Pod()), ip: l.Pod().Status.PodIP}

	refused, err := alice.Dial(t.Context(), "tcp", p.ip+":1")
	if err != nil {
		t.Fatalf("connect waits for the cluster, which says %v", err)
	}
	defer refused.Close()
	l.Must(refused.SetDeadline(time.Now().Add(lab.Patience)))
	if _, err := refused.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a port where nobody listens: %v", err)
	}
	p.all(map[string]func(*testing.T, *pod){"short": throughShort, "half-closed": throughHalf, "reset": throughReset, "first bytes": throughFirst})
}

// throughFirst: what a program says at once arrives in order with what it says
// later, however much it is.
func throughFirst(t *testing.T, p *pod) {
	call := p.listen(echo)
	for _, size := range []int{1, 1 << 10, 4 << 10, 4<<10 + 1, 64 << 10} {
		c, err := call()
		must(t, err)
		text := strings.Repeat(fmt.Sprintf("%d bytes at once. ", size), size)[:size]
		go func() {
			_, _ = io.WriteString(c, text+"later") // what arrives tells
			_ = c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		c.Close()
		if err != nil || string(got) != text+"later" {
			t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
		}
	}
}
