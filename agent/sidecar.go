package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/control"
	"github.com/kubectl-intercept/kubectl-intercept/agent/entrance"
	"github.com/kubectl-intercept/kubectl-intercept/agent/ports"
	"github.com/kubectl-intercept/kubectl-intercept/agent/probe"
)

const (
	// lastCallers is how long a sidecar accepts new connections after its pod has been
	// asked to terminate. Some clients do not know yet that the pod is terminating.
	lastCallers = 3 * time.Second
	// lastSidecarFlows is how long open connections may last after lastCallers. They
	// end when the application ends or when the kubelet kills the agent.
	lastSidecarFlows = 22 * time.Second
)

// redirect runs the agent in an init container.
func redirect(getenv func(string) string) error {
	layout, err := entrance.Layout(getenv)
	if err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	return entrance.Redirect(layout, probe.Nodes(strings.Split(getenv("AGENT_NODE_IPS"), ",")))
}

// runSidecar runs a sidecar agent. The pod's connections arrive at a sidecar even if
// the manager is gone or refuses it, so it runs until ctx ends because of a signal.
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
	if err := a.applyPlans(ctx, set, control.Patience{}); err != nil {
		a.log.Error("no longer under control, the application has the traffic", "error", err)
	}
	<-ctx.Done()
	time.Sleep(lastCallers)
	return nil
}
