package agents

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki/pkitest"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// What the API server would refuse, with all that other agents say, is left out.
func TestReportThatCannotBeTrue(t *testing.T) {
	good := func() *rpc.RouteReport {
		return &rpc.RouteReport{Port: 8080, InterceptUid: "u", Connections: 1, LastConnection: 1_700_000_000_000, Comparison: &rpc.Comparison{
			Match: &rpc.Match{Conditions: []*rpc.Condition{{}}}, Met: []uint64{1}, Headers: []string{"x-user"}}}
	}
	for what, spoil := range map[string]func(*rpc.RouteReport){
		"no port":            func(r *rpc.RouteReport) { r.Port = 0 },
		"a large port":       func(r *rpc.RouteReport) { r.Port = 1 << 16 },
		"another protocol":   func(r *rpc.RouteReport) { r.Protocol = 7 },
		"too many bytes":     func(r *rpc.RouteReport) { r.BytesIn = math.MaxUint64 },
		"a late connection":  func(r *rpc.RouteReport) { r.LastConnection = math.MaxInt64 },
		"an early one":       func(r *rpc.RouteReport) { r.LastConnection = math.MinInt64 },
		"a late first miss":  func(r *rpc.RouteReport) { r.Comparison.PassedSince = math.MaxInt64 },
		"an early first one": func(r *rpc.RouteReport) { r.Comparison.PassedSince = -1 },
	} {
		bad := good()
		spoil(bad)
		var a agent
		a.says(&rpc.AgentReport{Routes: []*rpc.RouteReport{bad, good()}})
		if len(a.routes) != 1 || a.routes[0] == bad {
			t.Errorf("%s: %v", what, a.routes)
		}
	}
	long := good()
	long.Comparison.Met = make([]uint64, 1000)
	long.Comparison.Headers = []string{strings.Repeat("x", 100_000), "x-user"}
	long.Missed = make([]*rpc.Missed, 1000)
	var a agent
	a.says(&rpc.AgentReport{Routes: []*rpc.RouteReport{long}})
	if c := a.routes[0].Comparison; len(c.Met) != 1 || len(c.Headers) != 1 || len(a.routes[0].Missed) != maxMissed {
		t.Errorf("%d conditions met, %d headers, %d reasons", len(c.Met), len(c.Headers), len(a.routes[0].Missed))
	}
	many := &rpc.AgentReport{}
	for i := range 10_000 {
		r := good()
		r.Port = uint32(i + 1)
		many.Routes = append(many.Routes, r)
	}
	if a.says(many); len(a.routes) != maxRoutes {
		t.Errorf("%d routes", len(a.routes))
	}
}

// While the API server refuses a status, it is asked less and less often, also by agents
// that go on reporting, and once it takes it the status is right.
func TestFailedWritesWait(t *testing.T) {
	for name, refusal := range map[string]*apierrors.StatusError{
		"conflict":  apierrors.NewConflict(schema.GroupResource{Resource: "intercepts"}, "quote", nil),
		"too large": apierrors.NewRequestEntityTooLargeError("no"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				w := newStatusWriter(slog.New(slog.DiscardHandler), s, s)
				s.refusal.Store(refusal)
				ctx := t.Context()
				go w.run(ctx)
				a := w.connect(ctx, pod("quote-1"), report(rpc.PortState_VERIFIED, 0))
				for i := range 600 { // ten minutes
					w.report(a, report(rpc.PortState_VERIFIED, uint64(i)))
					time.Sleep(time.Second)
				}
				if n := s.refused.Load(); n < 8 || n > 40 {
					t.Errorf("asked %d times in ten minutes", n)
				}
				s.refusal.Store(nil)
				time.Sleep(maxPause)
				var ic v1alpha1.Intercept
				if err := s.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "quote"}, &ic); err != nil {
					t.Fatal(err)
				}
				if len(ic.Status.Pods) != 1 || ic.Status.Pods[0].Connections != 600 {
					t.Errorf("the status says %+v", ic.Status.Pods)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				if len(w.failed)+len(w.held) != 0 {
					t.Errorf("left are %v, %v", w.failed, w.held)
				}
			})
		})
	}
}

func TestRetryPause(t *testing.T) {
	for _, tt := range []struct {
		failures int
		err      error
		max      time.Duration
	}{
		{1, apierrors.NewConflict(schema.GroupResource{}, "", nil), conflictPause},
		{3, apierrors.NewConflict(schema.GroupResource{}, "", nil), 4 * conflictPause},
		{1, errors.New("away"), failurePause},
		{4, errors.New("away"), 8 * failurePause},
		{1000, errors.New("away"), maxPause},
	} {
		different := map[time.Duration]bool{}
		for range 100 {
			got := retryPause(tt.failures, tt.err)
			if got > tt.max || got < tt.max/2 {
				t.Errorf("after %d of %v: %s, want %s at most", tt.failures, tt.err, got, tt.max)
			}
			different[got] = true
		}
		if len(different) < 50 {
			t.Errorf("after %d of %v: %d different pauses of 100", tt.failures, tt.err, len(different))
		}
	}
}

// reviewer counts the TokenReviews that it is asked for.
type reviewer struct{ asked int }

func (r *reviewer) Create(context.Context, client.Object, ...client.CreateOption) error {
	r.asked++
	return nil
}

// from is a context of a call from an address.
func from(ctx context.Context, address string, state tls.ConnectionState) context.Context {
	return peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(address), Port: 4}, AuthInfo: credentials.TLSInfo{State: state}})
}

// An address that tries to enroll again and again costs the API server little, and another
// one does not notice.
func TestEnrollmentsOfOneAddress(t *testing.T) {
	r := &reviewer{}
	log := slog.New(slog.DiscardHandler)
	s := New(log, nil, nil, nil, nil, r, "traffic-manager", 0)
	s.Budget = budget.New(log)
	request := &rpc.EnrollRequest{Namespace: "shop", Pod: "quote-1", ServiceAccountToken: "invented"}
	var last error
	for range 1000 {
		_, last = s.Enroll(from(t.Context(), "10.0.0.66", tls.ConnectionState{}), request)
	}
	if r.asked > 150 || status.Code(last) != codes.ResourceExhausted || !strings.Contains(last.Error(), "stranger 10.0.0.66") {
		t.Errorf("asked %d times, and says %v", r.asked, last)
	}
	if _, err := s.Enroll(from(t.Context(), "10.0.0.1", tls.ConnectionState{}), request); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another address: %v", err)
	}
}

// talker is an agent's stream that never stops to report.
type talker struct {
	grpc.ServerStream
	ctx      context.Context
	received atomic.Int64
}

func (s *talker) Context() context.Context    { return s.ctx }
func (s *talker) Send(*rpc.AgentConfig) error { return nil }
func (s *talker) Recv() (*rpc.AgentReport, error) {
	if s.ctx.Err() != nil {
		return nil, io.EOF
	}
	s.received.Add(1)
	return &rpc.AgentReport{}, nil
}

// An agent that reports without a pause is read slowly, and a pod has so many agents and no
// more.
func TestReportsOfOneAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := fake.NewClientBuilder().WithScheme(shoptest.Scheme(t)).Build()
		authority, err := pki.Load(t.Context(), fake.NewFakeClient(), "intercept-system", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		s := New(log, authority, plan.New(api, "intercept-system", plan.Answers{}), api, api, nil, "traffic-manager", 0)
		s.Budget = budget.New(log)
		chain := []*x509.Certificate{pkitest.Agent(t, authority, pod("quote-1")).Leaf}
		ctx, cancel := context.WithCancel(from(t.Context(), "10.0.0.66", tls.ConnectionState{PeerCertificates: chain, VerifiedChains: [][]*x509.Certificate{chain}}))
		stream := &talker{ctx: ctx}
		done := make(chan error, 1)
		go func() { done <- s.Watch(stream) }()
		time.Sleep(time.Minute)
		if n := stream.received.Load(); n < 1200 || n > 1310 {
			t.Errorf("%d reports were read in a minute", n)
		}
		if n := s.Budget.Refusals()[budget.Refusal{Peer: budget.Agent, Reason: "reports"}]; n == 0 {
			t.Error("nothing was counted")
		}
		for s.Budget.Watches.Take("shop/quote-1"); ; {
			if _, err := s.Budget.Watches.Take("shop/quote-1"); err != nil {
				break
			}
		}
		if err := s.Watch(&talker{ctx: ctx}); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("one agent more: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
