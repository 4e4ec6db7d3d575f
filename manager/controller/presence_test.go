package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// A replica that is restarted under its name removes itself from the Sessions of laptops
// that do not come back, also if it cannot at once.
func TestPresenceTakesBack(t *testing.T) {
	t.Run("at once", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { takesBack(t, 0, time.Second) }) })
	t.Run("after an outage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { takesBack(t, time.Minute, 2*presenceEvery) })
	})
}

// takesBack has an outage that is longer than all tries take, or none.
func takesBack(t *testing.T, outage, within time.Duration) {
	var away atomic.Bool
	away.Store(outage > 0)
	w := newWorld(t, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if away.Load() {
				return errors.New("no API server")
			}
			return c.List(ctx, list, opts...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, ok := o.(*v1alpha1.Session); ok && away.Load() {
				return errors.New("no API server")
			}
			return c.Get(ctx, key, o, opts...)
		}}, session("carol", false, time.Now()), session("dave", true, time.Now()))
	changes := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	p := &Presence{Client: w, Reader: w, Namespace: system, Relay: v1alpha1.Relay{Pod: "traffic-manager-1", Address: "10.0.0.9:17843"},
		Connected: func(name string) bool { return name == "bob" || name == "carol" }, Changes: changes, Log: slog.New(slog.DiscardHandler)}
	go func() { done <- p.Start(ctx) }()
	changes <- "carol"
	time.Sleep(outage)
	away.Store(false)
	time.Sleep(within)
	for name, want := range map[string]int{"alice": 0, "bob": 1, "carol": 1, "dave": 0} {
		var s v1alpha1.Session
		w.Must(w.Get(t.Context(), client.ObjectKey{Namespace: system, Name: name}, &s))
		if len(s.Status.Relays) != want {
			t.Errorf("%s: relays %v", name, s.Status.Relays)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
