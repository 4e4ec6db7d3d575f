package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// The program waits for an API server that is away, for as long as it takes. An
// answer that refuses several times ends the program.
func TestFirst(t *testing.T) {
	away := errors.New("connection refused")
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("no"))
	for name, c := range map[string]struct {
		err   error
		after time.Duration // the API server answers
		there bool
		took  time.Duration
		want  string
	}{
		"at once":              {nil, 0, true, 0, ""},
		"after an hour":        {away, time.Hour, true, time.Hour, ""},
		"not at all":           {away, 2 * time.Hour, true, 90 * time.Minute, "read secret intercept-system/traffic-manager-tls: connection refused"},
		"while it starts":      {forbidden, 2 * pause, true, 2 * pause, ""},
		"forbidden":            {forbidden, time.Hour, true, (refusals - 1) * pause, `read secret intercept-system/traffic-manager-tls: secrets "x" is forbidden: no`},
		"without its Service":  {nil, 0, false, (refusals - 1) * pause, `read own service: services "traffic-manager" not found`},
		"both, after a minute": {away, time.Minute, false, time.Minute + (refusals-1)*pause, `read own service: services "traffic-manager" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				objects := fake.NewClientBuilder().WithIndex(&coordinationv1.Lease{}, "metadata.name", func(o client.Object) []string { return []string{o.GetName()} }).WithInterceptorFuncs(interceptor.Funcs{
					Get: func(ctx context.Context, w client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
						if c.err != nil && time.Since(began) < c.after {
							return c.err
						}
						return w.Get(ctx, key, o, opts...)
					}})
				if c.there {
					objects.WithObjects(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "traffic-manager"}})
				}
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute)
				defer cancel()
				authority, service, err := first(ctx, slog.New(slog.DiscardHandler), &options{namespace: "intercept-system", service: "traffic-manager"}, objects.Build())
				if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
					t.Errorf("error %s, want %s", got, c.want)
				}
				if err == nil && (len(authority.Bundle()) == 0 || service.Name != "traffic-manager") {
					t.Error("something is missing")
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
			})
		})
	}
}

// While the program waits, it is alive for the kubelet but not ready, so it gets no
// connections.
func TestAlive(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	stop, err := alive(address)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		r, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, r.StatusCode, want)
		}
	}
	stop()
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("it keeps its port: %v", err)
	}
	again.Close()
}
