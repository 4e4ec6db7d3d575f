package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/claim"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
)

const (
	// pause is the time between two attempts to read an object.
	pause = 2 * time.Second
	// refusals is how often the API server may refuse a read before the program ends.
	// An API server that is starting refuses what it allows later.
	refusals = 5
)

// first checks that no other traffic-manager manages the same namespaces. It reads
// the certificate authority and the program's own Service. It repeats each read until
// the API server answers, and meanwhile answers the kubelet's health checks. The
// program waits instead of ending, because the kubelet waits longer before each
// restart.
func first(ctx context.Context, log *slog.Logger, o *options, c client.Client) (*pki.Authority, *corev1.Service, error) {
	stop, err := alive(o.health)
	if err != nil {
		return nil, nil, err
	}
	defer stop()
	claim := &claim.Claim{Client: c, Namespace: o.namespace, Namespaces: o.watch, Log: log}
	if err := patiently(ctx, log, func() error { return claim.Free(ctx) }); err != nil {
		return nil, nil, err
	}
	var authority *pki.Authority
	err = patiently(ctx, log, func() (err error) {
		authority, err = pki.Load(ctx, c, o.namespace, time.Now())
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	var service corev1.Service
	err = patiently(ctx, log, func() error {
		if err := c.Get(ctx, client.ObjectKey{Namespace: o.namespace, Name: o.service}, &service); err != nil {
			return fmt.Errorf("read own service: %w", err)
		}
		return nil
	})
	return authority, &service, err
}

// patiently calls try until it succeeds, it fails with an error that is permanent, or
// ctx ends.
func patiently(ctx context.Context, log *slog.Logger, try func() error) error {
	refused := 0
	for {
		err := try()
		if err == nil {
			return nil
		}
		var overlap *claim.OverlapError
		if errors.As(err, &overlap) {
			return err
		}
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
			refused++
		}
		if ctx.Err() != nil || refused == refusals {
			return err
		}
		log.Warn("not started yet", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// alive serves /healthz, and answers 503 to every other path, until stop is called.
func alive(address string) (stop func(), err error) {
	if address == "" || address == "0" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for health checks: %w", err)
	}
	s := &http.Server{ReadHeaderTimeout: pause, Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/healthz" {
			http.Error(w, "not started yet", http.StatusServiceUnavailable)
		}
	})}
	go s.Serve(l)
	return func() { s.Close() }, nil
}
