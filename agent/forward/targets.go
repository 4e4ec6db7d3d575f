package forward

import (
	"context"
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// application is the http.Target of requests that the application has.
type application struct{ flow *splitFlow }

// Open implements http.Target.
func (a *application) Open(_ context.Context, first []byte) (tunnel.Stream, error) {
	if s := a.flow.useAheadFor(nil, first); s != nil {
		return s, nil
	}
	return a.flow.openApplication(first)
}

// Arrived implements http.Target.
func (a *application) Arrived() {}

// Missed implements http.Target. Without the agent the caller would have been refused,
// too.
func (a *application) Missed(error) http.Decision { return http.Decision{} }

// Moved implements http.Target.
func (a *application) Moved(int, int) {}

// Gone implements http.Target.
func (a *application) Gone() <-chan struct{} { return nil }

// Mark implements http.Target.
func (a *application) Mark() http.Field { return http.Field{} }

// laptop is the http.Target of requests that a route takes.
type laptop struct {
	flow *splitFlow
	*tenure
}

// Open implements http.Target.
func (l laptop) Open(ctx context.Context, first []byte) (tunnel.Stream, error) {
	q := l.flow
	r := q.port.table.Load().during(l.tenure)
	if r == nil {
		return nil, relay.ErrAway
	}
	if s := q.useAheadFor(l.tenure, first); s != nil {
		return s, nil
	}
	return q.port.Open(ctx, r, q.frame(first))
}

// Missed implements http.Target.
func (l laptop) Missed(why error) http.Decision {
	q := l.flow
	r := q.port.table.Load().during(l.tenure)
	if r == nil || q.port.FallsBack(r, why) {
		return http.Decision{To: &q.app}
	}
	return http.Decision{Answer: &http.Answer{
		Status: 502, GRPC: http.Unavailable,
		Body: fmt.Sprintf("The intercept %s takes this request, and its laptop does not answer: %v.\n", r.Intercept, why),
	}}
}

// Arrived implements http.Target.
func (l laptop) Arrived() { l.counters.requested() }

// Gone implements http.Target.
func (l laptop) Gone() <-chan struct{} { return l.ctx.Done() }

// Mark implements http.Target.
func (l laptop) Mark() http.Field {
	if r := l.flow.port.table.Load().during(l.tenure); r != nil {
		return r.mark
	}
	return http.Field{}
}
