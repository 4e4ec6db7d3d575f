package credentials

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// Doubt hears of an error of what cfg was used for. It looks whether there is
// another configuration by now, and says so: then the same may be tried again.
// A plugin is asked only where the API server did not accept what it gave.
func (s *Source) Doubt(ctx context.Context, cfg *rest.Config, err error) bool {
	found := make(chan bool, 1)
	go func() {
		s.turn.Lock()
		defer s.turn.Unlock()
		found <- s.renew(cfg, err)
	}()
	select {
	case other := <-found:
		return other
	case <-ctx.Done():
		return false
	}
}

// renew looks for others than cfg; s.turn is held.
func (s *Source) renew(cfg *rest.Config, why error) bool {
	now := s.current()
	if now.cfg != cfg {
		return true // there are others by now
	}
	rejected := Rejected(why)
	found, err := s.find(now, rejected)
	switch {
	case errors.Is(err, errPaused):
		return false // what was said stays
	case err == nil && found != nil:
		if err = s.adopt(s.ctx, found); err == nil {
			return true
		}
		if rejected || Rejected(err) {
			s.note(err)
		}
	case rejected && err != nil:
		s.note(err)
	case rejected:
		s.note(hint(why))
	}
	return false
}

// hint says what to do about credentials that no kubeconfig has better ones for.
func hint(why error) error {
	const then = "log in to the cluster again; the session goes on by itself once kubectl works"
	if apierrors.IsUnauthorized(why) {
		return errors.New("the API server does not accept the credentials of the kubeconfig: " + then)
	}
	return fmt.Errorf("the kubeconfig and the API server do not trust each other: %v: %s", why, then)
}

// find loads the credentials anew; nil: they are the same.
func (s *Source) find(now *generation, rejected bool) (*Credentials, error) {
	s.mu.Lock()
	origin := s.origin
	s.mu.Unlock()
	cfg, found := now.cfg, now.Credentials
	if origin.Load != nil {
		var err error
		if cfg, err = origin.Load(); err != nil {
			return nil, fmt.Errorf("read kubeconfig: %w", err)
		}
		if found, err = Of(cfg, origin.Env); err != nil {
			return nil, err
		}
	}
	if found.Plugin != nil {
		asked := *found
		asked.take(now.issued())
		if !rejected && asked.same(now.Credentials) {
			return nil, nil
		}
		issued, err := s.ask(found, cfg, origin.Place)
		if err != nil {
			return nil, err
		}
		asked.take(issued)
		found = &asked
	}
	if found.same(now.Credentials) {
		return nil, nil
	}
	return found, nil
}

// ask has the plugin run, unless it failed a moment ago.
func (s *Source) ask(c *Credentials, cfg *rest.Config, at Place) (*Issued, error) {
	s.mu.Lock()
	wait := time.Now().Before(s.next)
	s.mu.Unlock()
	// Take does not wait for what runs here: it brings something better.
	if wait {
		return nil, errPaused
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.mu.Lock()
	s.stop = cancel
	s.mu.Unlock()
	issued, err := run(ctx, c.Plugin, cfg, at)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = nil
	// What it gives may not be accepted either.
	s.pause = min(max(2*s.pause, pluginPause), maxPause)
	s.next = time.Now().Add(s.pause)
	return issued, err
}

// adopt uses c from now on, if it stands the test; s.turn is held.
func (s *Source) adopt(ctx context.Context, c *Credentials) error {
	g, err := newGeneration(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	verify, changed := s.verify, s.changed
	s.mu.Unlock()
	if verify == nil {
		return errors.New("the session has only just begun")
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	if err := verify(ctx, g.cfg); err != nil {
		return err
	}
	s.mu.Lock()
	s.now, s.trouble, s.heard, s.pause, s.next = g, nil, time.Now(), 0, time.Time{}
	s.mu.Unlock()
	s.log.Info("the credentials are others now", "server", c.Host)
	changed()
	return nil
}

// Take uses what a command brings, and its origin from then on. An error says
// that the command and this process do not mean the same.
func (s *Source) Take(ctx context.Context, c *Credentials, origin Origin) error {
	s.mu.Lock()
	if s.stop != nil {
		s.stop()
	}
	s.mu.Unlock()
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	now := s.now
	s.origin, s.pause, s.next = origin, 0, time.Time{}
	s.mu.Unlock()
	if c.Provider != nil && now.Provider != nil {
		return nil // it logs in by itself, and keeps what it gets
	}
	if c.same(now.Credentials) {
		return nil
	}
	return s.adopt(ctx, c)
}

// Same says that Take would change nothing.
func (s *Source) Same(c *Credentials) bool { return c.same(s.current().Credentials) }
