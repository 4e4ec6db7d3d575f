// Package relay joins agents and sessions: it accepts the carriers that
// laptops open through the API server, and sends the flows of agents down
// the carriers of the session they are meant for.
package relay

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
)

// windowBudget is what the windows of one session may grow by here, in bytes.
const windowBudget = 64 << 20

// Relay holds the sessions with a carrier at this replica. It is safe for
// concurrent use.
type Relay struct {
	log       *slog.Logger
	reader    client.Reader // the API server itself: a Session may be seconds old
	planner   *plan.Planner
	namespace string
	pod       string
	version   string
	onChange  func(session string)
	reach     Reach
	dns       string
	domain    string
	own       []tls.Certificate // this replica's, on outbound lines
	ownPin    handshake.Pin

	mu       sync.Mutex
	sessions map[string]*session
}

// Config is what a Relay is made of.
type Config struct {
	Log *slog.Logger
	// Reader reads from the API server, not from a cache.
	Reader  client.Reader
	Planner *plan.Planner
	// Namespace holds the Sessions, Pod is this replica.
	Namespace, Pod, Version string
	// OnChange hears of sessions that got their first carrier or lost the
	// last one. It must not block.
	OnChange func(session string)
	// Reach decides where outbound flows may go.
	Reach Reach
	// NameServer is where those to TargetDNS go, "address:port"; Domain is the
	// cluster's.
	NameServer, Domain string
}

// Reach says whether a user may dial an address; see package authz.
type Reach interface {
	Check(context.Context, authz.Subject, netip.AddrPort) error
}

// New returns a Relay without sessions.
func New(c Config) (*Relay, error) {
	var secret [handshake.TokenSize]byte
	rand.Read(secret[:])
	keys, err := handshake.NewKeys(secret)
	if err != nil {
		return nil, err
	}
	own, err := keys.Certificate()
	if err != nil {
		return nil, err
	}
	pin, err := keys.Pin()
	if err != nil {
		return nil, err
	}
	return &Relay{log: c.Log, reader: c.Reader, planner: c.Planner, namespace: c.Namespace, pod: c.Pod,
		version: c.Version, onChange: c.OnChange, reach: c.Reach, dns: c.NameServer, domain: c.Domain, own: own, ownPin: pin, sessions: map[string]*session{}}, nil
}

// session is one laptop's carriers.
type session struct {
	name       string
	subject    authz.Subject
	generation uint64
	ctx        context.Context
	cancel     context.CancelFunc
	group      *mux.Group
	budget     *mux.Budget // of outbound flows
	carriers   int
	suspect    sync.Mutex // held while a ping finds out whether it lives
	keys       *handshake.Keys
	pin        handshake.Pin
	spares     chan *spare

	mu    sync.Mutex
	lines map[*takenLine]struct{}
}

// Connected says whether the session has a carrier here.
func (r *Relay) Connected(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[name] != nil
}

// Drop ends all carriers of a session: its object is gone.
func (r *Relay) Drop(name string) {
	r.mu.Lock()
	s := r.sessions[name]
	r.mu.Unlock()
	if s != nil {
		s.cancel()
	}
}

var errToken = errors.New("the session's token is not valid: it may have been taken over or ended")

// authenticate finds the Session that the token belongs to.
func (r *Relay) authenticate(ctx context.Context, h *handshake.Hello) (*v1alpha1.Session, error) {
	var s v1alpha1.Session
	err := r.reader.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: h.Session}, &s)
	if apierrors.IsNotFound(err) {
		return nil, errToken // the same words, so that names cannot be probed
	}
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	sum := sha256.Sum256(h.Token[:])
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(s.Spec.TokenHash)) != 1 ||
		s.DeletionTimestamp != nil {
		return nil, errToken
	}
	return &s, nil
}

// join adds a carrier to its session; a newer run of the laptop's process
// ends the carriers of the older one. Leave must be called when it is gone.
func (r *Relay) join(h *handshake.Hello, who authz.Subject) (*session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[h.Session]
	switch {
	case s != nil && s.generation > h.Generation:
		return nil, errors.New("a newer process holds this session")
	case s != nil && s.generation < h.Generation:
		s.cancel()
		s = nil
	case s != nil && s.carriers >= mostCarriers:
		return nil, fmt.Errorf("the session has %d carriers here, more than it needs", s.carriers)
	}
	if s == nil {
		var err error
		if s, err = newSession(h, who); err != nil {
			return nil, err
		}
		r.sessions[h.Session] = s
		defer r.onChange(h.Session)
	}
	s.carriers++
	return s, nil
}

func newSession(h *handshake.Hello, who authz.Subject) (*session, error) {
	keys, err := handshake.NewKeys(h.Token)
	if err != nil {
		return nil, err
	}
	pin, err := keys.Pin()
	if err != nil {
		return nil, err
	}
	s := &session{name: h.Session, subject: who, generation: h.Generation, group: mux.NewGroup(mux.NewBudget(windowBudget)),
		budget: mux.NewBudget(windowBudget),
		keys:   keys, pin: pin, spares: make(chan *spare, spareMax), lines: map[*takenLine]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	context.AfterFunc(s.ctx, func() {
		s.dropSpares()
		s.cut(func(*takenLine) bool { return true })
	})
	return s, nil
}

func (r *Relay) leave(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.carriers--
	if s.carriers == 0 {
		s.cancel()
		if r.sessions[s.name] == s {
			delete(r.sessions, s.name)
			defer r.onChange(s.name)
		}
	}
}

func (r *Relay) session(name string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[name]
}

const (
	// pingTimeout is how long a session may take to answer, pingAgain the second
	// time: a network that is away for a moment is no reason to drop everything.
	pingTimeout = 2 * time.Second
	pingAgain   = 6 * time.Second
	// mostCarriers bounds those of one session here.
	mostCarriers = 32
)

// check pings a session that let a flow wait. If no carrier answers, all of
// them are dropped and agents hear that the laptop is away. Only inbound ones are
// asked: on an outbound one the session asks.
func (r *Relay) check(s *session) {
	if !s.suspect.TryLock() {
		return
	}
	defer s.suspect.Unlock()
	for _, timeout := range []time.Duration{pingTimeout, pingAgain} {
		if s.group.Len() == 0 {
			return
		}
		if _, ok := s.group.Ping(timeout); ok {
			return
		}
	}
	r.log.Info("session does not answer", "session", s.name)
	s.cancel()
}

// look checks a session, and its lines: that they are alive, and that their
// pods still may send it anything.
func (r *Relay) look(s *session) {
	r.check(s)
	s.keepSpares()
	s.cut(func(l *takenLine) bool { return !r.mayReach(l.pod, l.want) })
}

// NeedLeaderElection says that every replica relays.
func (r *Relay) NeedLeaderElection() bool { return false }

// Start pings every session now and then, so that a cable pulled out is
// noticed without traffic. It runs until ctx ends.
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
			go r.look(s)
		}
		r.mu.Unlock()
	}
}
