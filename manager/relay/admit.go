package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

const (
	// cacheWait is how long a Hello waits for the cache if its address may not cause
	// another request at the API server; cacheLook is the pause between two looks.
	cacheWait = 3 * time.Second
	cacheLook = 50 * time.Millisecond
)

var errKey = errors.New("the session's key is not valid: it may have been taken over or ended")

// admit counts a carrier of the Session that the Hello names, and whose public key the
// caller has proved to own. From is the address that the Hello comes from.
func (r *Relay) admit(h *handshake.Hello, publicKey, from string) (*session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	drops := r.drops.Load()
	object, err := r.authenticate(ctx, h, publicKey, from)
	if err != nil {
		return nil, err
	}
	if err := r.cfg.Budget.Hellos.Allow(h.Session); err != nil {
		return nil, err
	}
	s, err := r.addCarrier(h, publicKey, r.ownerOf(object))
	if err != nil || r.drops.Load() == drops {
		return s, err
	}
	// This Session may be what Drop had found no carrier of.
	if _, err := r.read(ctx, h, publicKey); err != nil {
		r.removeCarrier(s)
		return nil, err
	}
	return s, nil
}

// authenticate returns the Session that a Hello names, if the public key is that of the
// Session as the API server has it now. The cache only says whether the caller is a
// stranger: somebody who has no key, or whose Session was made a moment ago.
func (r *Relay) authenticate(ctx context.Context, h *handshake.Hello, publicKey, from string) (*v1alpha1.Session, error) {
	if r.known(ctx, h, publicKey) {
		return r.read(ctx, h, publicKey)
	}
	if r.invented.has(h.Session) {
		return nil, errKey
	}
	if err := r.cfg.Budget.Lookups.Allow(from); err != nil {
		if !r.appears(ctx, h, publicKey) {
			return nil, err
		}
	}
	return r.read(ctx, h, publicKey)
}

// known says whether the cache has the Session with this key.
func (r *Relay) known(ctx context.Context, h *handshake.Hello, publicKey string) bool {
	var s v1alpha1.Session
	err := r.cfg.Cache.Get(ctx, client.ObjectKey{Namespace: r.cfg.Namespace, Name: h.Session}, &s)
	return err == nil && owns(publicKey, &s)
}

// appears waits until the Session is known. It returns false if that takes too long.
func (r *Relay) appears(ctx context.Context, h *handshake.Hello, publicKey string) bool {
	ctx, cancel := context.WithTimeout(ctx, cacheWait)
	defer cancel()
	look := time.NewTicker(cacheLook)
	defer look.Stop()
	for !r.known(ctx, h, publicKey) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// read reads the Session from the API server, which must be its user's. It remembers for a while
// that there is none.
func (r *Relay) read(ctx context.Context, h *handshake.Hello, publicKey string) (*v1alpha1.Session, error) {
	var s v1alpha1.Session
	err := r.cfg.Reader.Get(ctx, client.ObjectKey{Namespace: r.cfg.Namespace, Name: h.Session}, &s)
	switch {
	case apierrors.IsNotFound(err):
		r.invented.add(h.Session)
		return nil, errKey // the same words, so that an answer does not tell which names exist
	case err != nil:
		return nil, fmt.Errorf("read session: %w", err)
	case !owns(publicKey, &s) || s.DeletionTimestamp != nil || s.Spec.Renews != "":
		return nil, errKey
	}
	if err := r.cfg.Identity.Admit(ctx, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// owns says whether a public key is the Session's.
func owns(publicKey string, s *v1alpha1.Session) bool {
	return publicKey != "" && s.Spec.PublicKey == publicKey
}
