package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
)

const (
	// pingTimeout is how long a session may take to answer, and pingAgain how long
	// the second time: a network that is away for a moment is no reason to drop the
	// session.
	pingTimeout = 2 * time.Second
	pingAgain   = 6 * time.Second
)

// session is one laptop's, with a carrier at this replica.
type session struct {
	name       string
	owner      atomic.Pointer[owner]
	generation uint64
	ctx        context.Context
	cancel     context.CancelFunc
	group      *mux.Group
	windows    *mux.Budget  // of flows that the session opens
	carriers   int          // under Relay.mu
	answered   atomic.Int64 // when it answered a flow last, in nanoseconds since 1970
	checking   sync.Mutex   // held while a ping finds out whether the laptop answers
	lines      *lines
	traffic    *sessionTraffic
}

// owner is a session's user, as the API server has confirmed it.
type owner struct {
	authz.Subject
	expires time.Time
}

func (r *Relay) ownerOf(s *v1alpha1.Session) *owner {
	return &owner{authz.SubjectOf(s), r.cfg.Identity.Expires(s)}
}

// user is the owner, who stays the same.
func (s *session) user() string { return s.owner.Load().User }

// confirm takes over what the API server has confirmed later. What a session may do is decided
// when a flow begins, so a session whose user has other groups now begins anew.
func (s *session) confirm(now *owner) {
	before := s.owner.Load()
	if !now.expires.After(before.expires) || !s.owner.CompareAndSwap(before, now) {
		return
	}
	if !now.Equal(before.Subject) {
		s.cancel()
	}
}

// Confirmed takes over what the status of a Session says of its user.
func (r *Relay) Confirmed(s *v1alpha1.Session) {
	if of := r.session(s.Name); of != nil {
		of.confirm(r.ownerOf(s))
	}
}

// addCarrier counts a carrier of a session, which it makes if there is none. A newer
// run of the laptop's process ends the carriers of the older one. The caller must
// call removeCarrier when the carrier is gone.
func (r *Relay) addCarrier(h *handshake.Hello, publicKey string, of *owner) (*session, error) {
	s, first, err := r.count(h, publicKey, of)
	if first {
		r.cfg.OnChange(h.Session) // it may take a while: others must not wait for r.mu
	}
	return s, err
}

// count is addCarrier without OnChange. First says that the session is new.
func (r *Relay) count(h *handshake.Hello, publicKey string, of *owner) (s *session, first bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s = r.sessions[h.Session]
	switch {
	case s != nil && s.generation > h.Generation:
		return nil, false, errors.New("a newer process holds this session")
	case s != nil && s.generation < h.Generation:
		s.cancel()
		s = nil
	case s != nil && s.carriers >= budget.Carriers:
		return nil, false, fmt.Errorf("the session has %d carriers here, more than it needs", s.carriers)
	}
	if s == nil {
		first = true
		user := of.User
		if s, err = newSession(h, publicKey, of, r.windows.of(user), &sessionTraffic{totals: r.totals, each: map[subject]*counter{}}); err != nil {
			r.windows.done(user)
			return nil, false, err
		}
		r.sessions[h.Session] = s
	}
	s.confirm(of)
	s.carriers++
	return s, first, nil
}

// newSession makes a session whose windows grow within those of its user.
func newSession(h *handshake.Hello, publicKey string, of *owner, windows *mux.Budget, t *sessionTraffic) (*session, error) {
	pin, err := handshake.PinOfPublicKey(publicKey)
	if err != nil {
		return nil, err
	}
	s := &session{name: h.Session, generation: h.Generation, traffic: t,
		group: mux.NewGroup(windows.Part(budget.SessionWindows)), windows: windows.Part(budget.SessionWindows)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.owner.Store(of)
	s.lines = newLines(s.ctx, h.Secret, pin)
	return s, nil
}

// lastAnswer returns when the session answered a flow last.
func (s *session) lastAnswer() time.Time { return time.Unix(0, s.answered.Load()) }

// removeCarrier counts a carrier of a session down, and ends the session with its
// last one.
func (r *Relay) removeCarrier(s *session) {
	r.mu.Lock()
	s.carriers--
	last := s.carriers == 0
	gone := last && r.sessions[s.name] == s
	if gone {
		delete(r.sessions, s.name)
	}
	if last {
		r.windows.done(s.user())
	}
	r.mu.Unlock()
	if last {
		s.cancel()
	}
	if gone {
		r.cfg.OnChange(s.name)
	}
}

func (r *Relay) session(name string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[name]
}

// check pings a session. If no carrier answers, it ends the session, so that agents
// learn that the laptop is away. It pings inbound carriers only: on outbound ones the
// session pings.
func (r *Relay) check(s *session) {
	if !s.checking.TryLock() {
		return
	}
	defer s.checking.Unlock()
	for _, timeout := range []time.Duration{pingTimeout, pingAgain} {
		if s.group.Len() == 0 {
			return
		}
		if _, ok := s.group.Ping(timeout); ok {
			return
		}
	}
	r.cfg.Log.Info("session does not answer", "session", s.name)
	s.cancel()
}

// inspect ends a session whose user is not confirmed any more. It checks others, keeps its idle lines alive, and closes the lines of pods
// that may no longer reach it.
func (r *Relay) inspect(s *session) {
	if o := s.owner.Load(); !time.Now().Before(o.expires) {
		r.cfg.Log.Info("session ends: the API server confirmed its user too long ago", "session", s.name, "user", o.User, "until", o.expires)
		s.cancel()
		return
	}
	r.check(s)
	s.lines.keepalive()
	s.lines.closeAssigned(func(l *assignedLine) bool { return !r.mayReach(s, l.pod, l.request) })
}
