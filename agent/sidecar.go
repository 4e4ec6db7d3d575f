package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/control"
	"github.com/kubectl-intercept/kubectl-intercept/agent/entrance"
	"github.com/kubectl-intercept/kubectl-intercept/agent/ports"
)

const (
	// lastCallers is how long callers may still come after the pod was asked to
	// end: not every client has heard of it.
	lastCallers = 3 * time.Second
	// lastSidecarFlows is how long connections may go on after that. They end with
	// the application, unless the kubelet kills the agent first.
	lastSidecarFlows = 22 * time.Second
)

// redirect is the life of the init container.
func redirect(getenv func(string) string) error {
	layout, err := entrance.Layout(getenv)
	if err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	return entrance.Redirect(layout)
}

// runSidecar is the life of an agent that its pod was made with. Callers come to it
// whatever happens, so nothing but a signal, by way of ctx, ends it.
func runSidecar(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	layout, err := entrance.Layout(getenv)
	if err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	a, err := begin(ctx, getenv, stderr)
	if err != nil {
		return err
	}
	defer a.end()
	sidecar, err := entrance.ListenSidecar(a.serving, a.settings.PodAddrs, layout, a.opener, a.log)
	if err != nil {
		return err
	}
	set := ports.New(a.serving, sidecar, a.opener, true, a.log)
	defer a.close(ctx, set, lastSidecarFlows)
	if err := a.obey(ctx, set, control.Patience{}); err != nil {
		a.log.Error("no longer under control, the application has the traffic", "error", err)
	}
	<-ctx.Done()
	time.Sleep(lastCallers)
	return nil
}
