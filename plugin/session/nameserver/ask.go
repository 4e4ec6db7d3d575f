package nameserver

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/spelling"
)

const (
	// silentTimeout is for a cluster that did not answer the last time.
	silentTimeout = 500 * time.Millisecond
	// clusterSize is the datagram that the cluster may send: it does not cross the
	// laptop's networks as one.
	clusterSize = 4096
)

// health is whether the cluster answers at all.
type health struct {
	answered atomic.Int64 // when it last did, by the clock, in nanoseconds
	silent   atomic.Bool  // it did not answer the last time
}

// missed records that a query has no answer in time. Began is when it was sent, in
// nanoseconds.
func (h *health) missed(began int64) {
	if h.answered.Load() < began {
		h.silent.Store(true)
	}
}

// future is an answer of the cluster that may not be there yet.
type future struct {
	began int64 // when it was asked for, in nanoseconds; 0 if that was put off
	// ask sends the query, if that was put off; else it is nil.
	ask  func()
	done chan struct{}
	m    *dns.Msg
	err  error
}

// ask asks the cluster for all of a route's names. The answer is that for the first
// name that exists.
func (st *state) ask(ctx context.Context, r names.Route, qtype uint16) *future {
	f := &future{began: time.Now().UnixNano(), done: make(chan struct{})}
	st.goAsk(func() { st.fill(ctx, f, r, qtype) })
	return f
}

// askOnDemand is ask put off until somebody calls the future's ask.
func (st *state) askOnDemand(ctx context.Context, r names.Route, qtype uint16) *future {
	f := &future{done: make(chan struct{})}
	f.ask = sync.OnceFunc(func() { st.goAsk(func() { st.fill(ctx, f, r, qtype) }) })
	return f
}

// askNow is ask that waits for the answer.
func (st *state) askNow(ctx context.Context, r names.Route, qtype uint16) *future {
	f := &future{began: time.Now().UnixNano(), done: make(chan struct{})}
	st.fill(ctx, f, r, qtype)
	return f
}

// goAsk runs ask in a goroutine of its own.
func (st *state) goAsk(ask func()) {
	st.background.Add(1)
	go func() {
		defer st.background.Add(-1)
		ask()
	}()
}

func (st *state) fill(ctx context.Context, f *future, r names.Route, qtype uint16) {
	defer close(f.done)
	others := make([]*future, len(r.Full)-1)
	for i, name := range r.Full[1:] {
		others[i] = &future{done: make(chan struct{})}
		st.goAsk(func() {
			defer close(others[i].done)
			others[i].m, others[i].err = st.askOne(ctx, name, qtype)
		})
	}
	f.m, f.err = st.askOne(ctx, r.Full[0], qtype)
	for _, one := range others {
		if f.err != nil || f.m.Rcode != dns.RcodeNameError {
			return
		}
		<-one.done
		f.m, f.err = one.m, one.err
	}
}

var errNoCluster = errors.New("the session has no cluster")

// askOne sends one query. Its answer is for the name in the spelling of name.
func (st *state) askOne(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	if st.config.Cluster == nil {
		return nil, errNoCluster
	}
	began := time.Now().UnixNano()
	if st.health.silent.Load() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, silentTimeout)
		defer cancel()
	}
	spelled, done := st.server.sent.Add(name, qtype, names.Cluster)
	defer done()
	st.server.count.cluster.Add(1)
	q := new(dns.Msg)
	q.SetQuestion(spelled, qtype)
	q.SetEdns0(clusterSize, false)
	m, err := st.config.Cluster.Exchange(ctx, q)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
			st.health.missed(began)
		}
		return nil, err
	}
	st.health.answered.Store(time.Now().UnixNano())
	st.health.silent.Store(false)
	m = m.Copy() // an Exchanger may give one answer to many
	spelling.Undo(m, name)
	return m, nil
}
