package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/control"
	"github.com/kubectl-intercept/kubectl-intercept/agent/sidecar"
)

// lastSidecarFlows is how long connections may go on after the pod was asked to
// end. They end with the application; the kubelet may be faster.
const lastSidecarFlows = 25 * time.Second

// redirect is the life of the init container.
func redirect(getenv func(string) string) error {
	s, err := sidecar.FromEnvironment(getenv)
	if err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	return sidecar.Redirect(s)
}

// runSidecar is the life of an agent that its pod was made with. Callers are led
// to it whatever happens, so nothing but a signal, by way of ctx, ends it.
func runSidecar(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	layout, err := sidecar.FromEnvironment(getenv)
	if err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	a, err := begin(ctx, getenv, stderr)
	if err != nil {
		return err
	}
	defer a.end()
	set, err := sidecar.Listen(a.serving, a.settings.PodAddrs, layout, a.opener, a.log)
	if err != nil {
		return err
	}
	defer a.close(ctx, set, lastSidecarFlows)
	if err := a.obey(ctx, set, control.Patience{}); err != nil {
		a.log.Error("no longer under control, the application has the traffic", "error", err)
	}
	<-ctx.Done()
	return nil
}
