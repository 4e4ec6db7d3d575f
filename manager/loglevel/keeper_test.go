package loglevel

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/loglevel"
)

// A level is in force from the next look on, and until its time is over, also if the API
// server is away then.
func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "tools", Name: "traffic-manager"}}
		c := fake.NewClientBuilder().WithObjects(cm).WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				if away.Load() {
					return errors.New("connection refused")
				}
				return c.Get(ctx, key, o, opts...)
			}}).Build()
		level := new(slog.LevelVar)
		var changes atomic.Int32
		k := &Keeper{Client: c, Namespace: "tools", Name: "traffic-manager", Var: level, Own: slog.LevelInfo,
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Changed: func() { changes.Add(1) }}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Start(ctx) }()
		ask := func(word string, d time.Duration) {
			t.Helper()
			text, err := loglevel.Request{Level: word, Until: time.Now().Add(d)}.Encode()
			if err != nil {
				t.Fatal(err)
			}
			cm.Annotations = map[string]string{loglevel.Annotation: text}
			if err := c.Update(t.Context(), cm); err != nil {
				t.Fatal(err)
			}
		}
		is := func(own slog.Level, agents string, n int32) {
			t.Helper()
			synctest.Wait()
			if level.Level() != own || k.Agents() != agents || changes.Load() != n {
				t.Errorf("%s: this process logs at %s, agents at %q, %d changes", time.Now(), level.Level(), k.Agents(), changes.Load())
			}
		}
		is(slog.LevelInfo, "", 0)
		ask("debug", 12*time.Second)
		is(slog.LevelInfo, "", 0)
		time.Sleep(every)
		is(slog.LevelDebug, "debug", 1)
		ask("warn", 12*time.Second) // until second 17
		time.Sleep(every)
		is(slog.LevelWarn, "warn", 2)
		away.Store(true)
		time.Sleep(every)
		is(slog.LevelWarn, "warn", 2)
		time.Sleep(2 * time.Second)
		is(slog.LevelInfo, "", 3)
		away.Store(false)
		cm.Annotations = map[string]string{loglevel.Annotation: "debug"}
		if err := c.Update(t.Context(), cm); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * every)
		is(slog.LevelInfo, "", 3)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
