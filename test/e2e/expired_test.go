//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestExpired: for the time that the chart sets, the requests of a personal intercept that
// has ended are answered with whose it was and when it ended. Others' requests are not.
func TestExpired(t *testing.T) {
	const set = "intercept.expiredNotifications.enabled=true,intercept.expiredNotifications.deadline="
	for _, inject := range []v1alpha1.InjectMode{v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
		t.Run(string(inject), func(t *testing.T) {
			l := lab.New(t, clusters)
			upgrade(l, "--set", set+"1h")
			l.Apply("quote.yaml")
			quote := l.Serving("quote", "http")
			alice, bob := l.Laptop("alice"), l.Laptop("bob")
			a, b := people[0], people[1]
			alice.Intercept("add", "quote", "--inject", string(inject), "--port", alice.Serve("alice").To(""), "--match", a.match)
			bob.Intercept("add", "quote", "--inject", string(inject), "--port", bob.Serve("bob").To(""), "--match", b.match)
			c, err := keep(l, l.Nodes[1], quote)
			l.Must(err)
			t.Cleanup(func() { c.conn.Close() })
			l.Must(inTurn(quote, c.as, 1, []person{a, b, nobody}))
			calls := grpcCaller(l, l.Nodes[0], quote)

			before := time.Now()
			alice.Intercept("leave", "quote")
			var first answer
			l.Until("callers are told of the end", func() error {
				l.Must(inTurn(quote, c.as, 1, []person{b, nobody}))
				got, err := c.told(a)
				l.Must(err)
				if first = got; got.code != http.StatusServiceUnavailable {
					return fmt.Errorf("%+v", got)
				}
				return nil
			})
			name := l.Namespace + "/quote"
			said, ended, _ := strings.Cut(first.body, " ended at ")
			if first.mark != name || said != "The intercept "+name+" of alice" {
				t.Errorf("callers are told %+v", first)
			}
			at, _, _ := strings.Cut(ended, ". ")
			if when, err := time.Parse("2006-01-02 15:04:05 UTC", at); err != nil || when.Before(before.Truncate(time.Second)) || when.After(time.Now()) {
				t.Errorf("callers are told that it ended at %q (%v); left at %v", at, err, before)
			}
			if s := calls(a); s.Code() != codes.Unavailable || !strings.Contains(s.Message(), said) {
				t.Errorf("gRPC: %v", s)
			}
			for _, p := range []person{b, nobody} {
				if s := calls(p); s.Code() == codes.Unavailable {
					t.Errorf("gRPC of %s: %v", p.name, s)
				}
			}
			endsSoon(l, quote, set+"1s", bob, b)
			if s := calls(b); s.Code() == codes.Unavailable {
				t.Errorf("gRPC after the deadline: %v", s)
			}
			// The hour of the other one has not passed.
			c, err = keep(l, l.Nodes[1], quote)
			l.Must(err)
			defer c.conn.Close()
			if got, err := c.told(a); err != nil || got != first {
				t.Errorf("callers are told %+v, %v, after %+v", got, err, first)
			}
		})
	}
}

// endsSoon has an intercept of p end, with a deadline so short that callers may not be told.
// Then the application has the requests. Without the header that marks answers, callers see
// that the agent knows the deadline.
func endsSoon(l *lab.Lab, quote, set string, p *lab.Laptop, who person) {
	l.Helper()
	upgradeAgain(l, "--set", set, "--set", "intercept.responseHeader=false")
	ask := func(reached func(answer) bool) func() error {
		return func() error {
			c, err := keep(l, l.Nodes[1], quote)
			if err != nil {
				return err
			}
			defer c.conn.Close()
			if got, err := c.told(who); err != nil || !reached(got) {
				return fmt.Errorf("%+v, %v", got, err)
			}
			return nil
		}
	}
	l.Until("the agent knows the deadline", ask(func(got answer) bool { return got.from() == who.name && got.mark == "" }))
	p.Intercept("leave", "quote")
	l.Until("the application has the requests again", ask(func(got answer) bool { return got.code == http.StatusOK && got.from() == lab.Application }))
}

// grpcCaller returns a function that makes a gRPC call with somebody's mark over one
// connection, and returns its status.
func grpcCaller(l *lab.Lab, from *lab.Space, addr string) func(person) *status.Status {
	l.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return from.Dial(ctx, "tcp", addr) }))
	l.Must(err)
	l.Cleanup(func() { conn.Close() })
	return func(p person) *status.Status {
		h := http.Header{}
		p.mark(h)
		md := metadata.MD{}
		for name, values := range h {
			md.Append(name, values...)
		}
		ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(l.Context(), md), lab.Patience)
		defer cancel()
		_, err := health.NewHealthClient(conn).Check(ctx, &health.HealthCheckRequest{})
		return status.Convert(err)
	}
}
