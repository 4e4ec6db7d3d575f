// Package agents is the manager's end of the agents' control stream: it
// enrolls them, sends each its plan whenever that changes, and writes what
// they report into the status of the Intercepts.
package agents

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Server serves rpc.Agents. It is safe for concurrent use.
type Server struct {
	rpc.UnimplementedAgentsServer

	log       *slog.Logger
	authority *pki.Authority
	planner   *plan.Planner
	reader    client.Reader
	status    *statusWriter
	reviewer  Reviewer
	audience  string
	maxIdle   time.Duration

	// Excluded are names of environment variables whose values no laptop gets. It is set
	// before the first use.
	Excluded []string
	// LogLevel is the level that agents are asked to log at; "" is their own. Nobody changes
	// the function after the start. What it returns may change: the planner's subscribers
	// are told then. Nil is always "".
	LogLevel func() string
	// Budget bounds how often an agent reports, and how often somebody enrolls. It is set
	// before the first use.
	Budget *budget.Budget

	mu   sync.Mutex
	used map[string]time.Time // enrollment tokens, until they expire
}

// Reviewer creates TokenReviews.
type Reviewer interface {
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
}

// New returns a Server. Reader is a cache, writer goes to the API server;
// audience is what the tokens of sidecars are made for, and reviewer checks them.
// An ephemeral agent without a port ends after maxIdle; 0 for never.
func New(log *slog.Logger, a *pki.Authority, p *plan.Planner, reader client.Reader, writer client.StatusClient, reviewer Reviewer, audience string, maxIdle time.Duration) *Server {
	return &Server{log: log, authority: a, planner: p, reader: reader, reviewer: reviewer, audience: audience, maxIdle: maxIdle,
		status: newStatusWriter(log, reader, writer), used: map[string]time.Time{}}
}

// Start writes reports into statuses until ctx ends.
func (s *Server) Start(ctx context.Context) error { return s.status.run(ctx) }

// Changed says that an Intercept of the namespace has changed.
func (s *Server) Changed(namespace string) { s.status.changed(namespace) }

// NeedLeaderElection says that every replica does this.
func (s *Server) NeedLeaderElection() bool { return false }

// TokenLife is how long an enrollment token waits for its agent: an image may
// have to be pulled first.
const TokenLife = 30 * time.Minute

// Enroll turns the proof of which pod an agent is in into a client certificate:
// a one-time token or, for sidecars, a token of the pod's service account.
func (s *Server) Enroll(ctx context.Context, r *rpc.EnrollRequest) (*rpc.EnrollResponse, error) {
	who := pki.Pod{Namespace: r.Namespace, Name: r.Pod, UID: r.PodUid}
	check := s.checkToken
	if r.ServiceAccountToken != "" {
		check = func(ctx context.Context, who pki.Pod, r *rpc.EnrollRequest) error {
			return s.prove(ctx, who, r.ServiceAccountToken)
		}
	}
	if err := s.Budget.Enrollments.Allow(peerHost(ctx)); err != nil {
		return nil, status.Error(codes.ResourceExhausted, err.Error())
	}
	if err := check(ctx, who, r); err != nil {
		return nil, err
	}
	cert, err := s.authority.SignAgent(who, r.CertificateRequest, time.Now())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "pod %s: %v", who, err)
	}
	s.log.Info("agent enrolled", "pod", who, "sidecar", r.ServiceAccountToken != "")
	return &rpc.EnrollResponse{Certificate: cert}, nil
}

// checkToken checks a one-time token. The caller must come from the pod's own
// address, so a token read off the pod's spec is of no use elsewhere.
func (s *Server) checkToken(ctx context.Context, who pki.Pod, r *rpc.EnrollRequest) error {
	now := time.Now()
	if err := s.authority.CheckToken(who, r.Token, now); err != nil {
		return status.Errorf(codes.PermissionDenied, "pod %s: %v", who, err)
	}
	pod, err := s.addressed(ctx, who)
	if err != nil {
		return err
	}
	from := peerHost(ctx)
	isOwn := func(ip corev1.PodIP) bool { return ip.IP == from }
	if string(pod.UID) != r.PodUid || !slices.ContainsFunc(pod.Status.PodIPs, isOwn) {
		return status.Errorf(codes.PermissionDenied, "pod %s: enrollment from %s, which is not its address", who, from)
	}
	if !s.useToken(r.Token, now) {
		return status.Errorf(codes.PermissionDenied, "pod %s: enrollment token was used before", who)
	}
	return nil
}

const (
	// addressTime is how long an enrollment waits if the agent starts before the API
	// server knows the pod's address; addressEvery is the pause between two reads.
	addressTime, addressEvery = 5 * time.Second, 20 * time.Millisecond
)

// addressed reads a pod once it is known to have an address. The error is a gRPC
// status.
func (s *Server) addressed(ctx context.Context, who pki.Pod) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, addressTime)
	defer cancel()
	tick := time.NewTicker(addressEvery)
	defer tick.Stop()
	for {
		var pod corev1.Pod
		if err := s.reader.Get(ctx, client.ObjectKey{Namespace: who.Namespace, Name: who.Name}, &pod); err != nil {
			return nil, status.Errorf(codes.Unavailable, "read pod %s: %v", who, err)
		}
		if len(pod.Status.PodIPs) > 0 {
			return &pod, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, status.Errorf(codes.Unavailable, "pod %s: its address is not known yet", who)
		}
	}
}

func (s *Server) useToken(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, at := range s.used {
		if now.Sub(at) > TokenLife {
			delete(s.used, t)
		}
	}
	if _, used := s.used[token]; used {
		return false
	}
	s.used[token] = now
	return true
}

// Watch keeps one agent up to date until its stream breaks.
func (s *Server) Watch(stream rpc.Agents_WatchServer) error {
	pod, ok := peerPod(stream.Context())
	if !ok {
		return status.Error(codes.Unauthenticated, "no agent certificate")
	}
	release, err := s.Budget.Watches.Take(pod.String())
	if err != nil {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	defer release()
	log := s.log.With("pod", pod)
	first, err := s.receive(stream, pod)
	if err != nil {
		return nil
	}
	log.Info("agent connected", "version", first.Version, "sidecar", first.Sidecar, "container", first.Container)
	changed, stop := s.planner.Subscribe()
	defer stop()
	a := s.status.connect(stream.Context(), pod, first)
	defer s.status.disconnect(a)
	var notices atomic.Bool
	notices.Store(first.Notices)
	received := make(chan error, 1)
	go func() {
		for {
			r, err := s.receive(stream, pod)
			if err != nil {
				received <- err
				return
			}
			notices.Store(r.Notices)
			s.status.report(a, r)
		}
	}()
	var sent plan.Plan
	var bundle []byte // what the agent has
	level := ""       // what the agent was asked for
	generation := uint64(0)
	idleCheck := time.NewTicker(idleCheckEvery)
	defer idleCheck.Stop()
	idle := time.Now()
	for {
		all, err := s.planner.Pod(stream.Context(), pod.Namespace, pod.Name, types.UID(pod.UID))
		if err != nil {
			return status.Errorf(codes.Unavailable, "plan: %v", err)
		}
		now, err := s.share(stream.Context(), pod, all, first)
		if err != nil {
			return status.Errorf(codes.Unavailable, "plan: %v", err)
		}
		config := &rpc.AgentConfig{Generation: generation + 1, LogLevel: s.level()}
		if b := s.authority.Bundle(); !bytes.Equal(bundle, b) {
			config.CaBundle, bundle = b, b
		}
		if len(config.CaBundle) > 0 || !sent.Equal(now) || config.LogLevel != level {
			config.Ports, config.StandIns, config.Pauses = now.Ports(), now.StandIns(), now.Pauses()
			if first.Container != "" {
				config.ExcludedVariables = s.Excluded
			}
			if err := stream.Send(config); err != nil {
				return err
			}
			generation, sent, level = config.Generation, now, config.LogLevel
			log.Debug("plan sent", "generation", generation, "ports", now.Len(), "standIns", len(config.StandIns), "pauses", len(config.Pauses))
		}
		if !now.Empty() || notices.Load() {
			idle = time.Now()
		}
		select {
		case <-changed:
		case <-idleCheck.C:
			if !first.Sidecar && now.Empty() && s.leaves(stream.Context(), pod, time.Since(idle)) {
				log.Info("agent is asked to end")
				return stream.Send(&rpc.AgentConfig{Generation: generation + 1, LogLevel: level, Exit: true})
			}
		case err := <-received:
			log.Info("agent disconnected", "reason", err)
			return nil
		case <-stream.Context().Done():
			return nil
		}
	}
}

// receive waits for the next report, and for the pod's turn. Meanwhile gRPC takes no more of
// this agent than its window.
func (s *Server) receive(stream rpc.Agents_WatchServer, pod pki.Pod) (*rpc.AgentReport, error) {
	r, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	return r, s.Budget.Reports.Await(stream.Context(), pod.String())
}

func (s *Server) level() string {
	if s.LogLevel == nil {
		return ""
	}
	return s.LogLevel()
}

func peerPod(ctx context.Context) (pki.Pod, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return pki.Pod{}, false
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return pki.Pod{}, false
	}
	return pki.PeerPod(info.State)
}
