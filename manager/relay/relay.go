// Package relay connects agents with sessions: it accepts the carriers and lines that
// laptops open through the API server, and puts the flows of each agent on the
// carriers of the session that they are for.
package relay

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// Config is what a Relay is made of.
type Config struct {
	Log *slog.Logger
	// Reader reads from the API server, not from a cache. Cache may be behind.
	Reader, Cache client.Reader
	Planner       *plan.Planner
	// Certificate returns this replica's certificate on carriers, which sessions check.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Namespace holds the Sessions, Pod is this replica.
	Namespace, Pod, Version string
	// OnChange is told of a session that got its first carrier or lost its last
	// one. That carrier alone waits for it.
	OnChange func(session string)
	// Reach decides where flows of sessions may go.
	Reach Reach
	// Identity decides whether a Session is its user's.
	Identity Identity
	// NameServer is where flows to frame.TargetDNS go, "address:port"; Domain is the
	// cluster's DNS domain.
	NameServer, Domain string
	// Budget bounds what each peer uses.
	Budget *budget.Budget
	// Replicas asks the other replicas; nil if there are none.
	Replicas *Replicas
}

// Relay holds the sessions with a carrier at this replica. It is safe for
// concurrent use.
type Relay struct {
	cfg    Config
	own    []tls.Certificate // this replica's, on outbound lines
	ownPin handshake.Pin

	drops    atomic.Uint64 // calls of Drop
	invented *invented

	mu       sync.Mutex
	sessions map[string]*session
	windows  *windows

	totals *totals
}

// Reach says what a user may do; see package authz.
type Reach interface {
	// Check returns an error unless the user may dial the address.
	Check(context.Context, authz.Subject, netip.AddrPort) error
	// MayExec says whether the user may execute commands in a pod.
	MayExec(ctx context.Context, s authz.Subject, namespace, pod string) (bool, error)
	// MayList says whether the user may list objects.
	MayList(ctx context.Context, s authz.Subject, group, resource, namespace string) (bool, error)
}

// Identity says whether a Session is its user's; see package identity.
type Identity interface {
	// Admit returns an error unless it is.
	Admit(context.Context, *v1alpha1.Session) error
	// Expires is when that has to be confirmed again.
	Expires(*v1alpha1.Session) time.Time
}

// New returns a Relay without sessions.
func New(c Config) (*Relay, error) {
	identity := handshake.RandomIdentity()
	own, err := identity.Certificate()
	if err != nil {
		return nil, err
	}
	pin, err := identity.Pin()
	if err != nil {
		return nil, err
	}
	return &Relay{cfg: c, own: own, ownPin: pin, sessions: map[string]*session{}, invented: newInvented(), windows: newWindows(), totals: newTotals()}, nil
}

// Connected says whether the session has a carrier at this replica.
func (r *Relay) Connected(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[name] != nil
}

// Drop ends all carriers of a session: its object is deleted.
func (r *Relay) Drop(name string) {
	r.drops.Add(1)
	r.mu.Lock()
	s := r.sessions[name]
	r.mu.Unlock()
	if s != nil {
		s.cancel()
	}
}

// Created says that there is a Session: the cache has it.
func (r *Relay) Created(name string) { r.invented.forget(name) }

// NeedLeaderElection says that every replica relays.
func (r *Relay) NeedLeaderElection() bool { return false }

// Start inspects every session now and then, until ctx ends. So it notices without
// traffic that a laptop is gone.
func (r *Relay) Start(ctx context.Context) error {
	go buffer.ReleaseMemory(ctx)
	t := time.NewTicker(10 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		r.mu.Lock()
		for _, s := range r.sessions {
			go r.inspect(s)
		}
		r.mu.Unlock()
	}
}
