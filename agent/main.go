// Traffic-agent redirects chosen ports of the pod it runs in to a laptop, for as
// long as the traffic-manager wants it.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/control"
	"github.com/kubectl-intercept/kubectl-intercept/agent/entrance"
	"github.com/kubectl-intercept/kubectl-intercept/agent/ports"
)

const (
	// lastFlows is how long connections may go on after the agent was asked to
	// end.
	lastFlows = 10 * time.Second
	// managerGone and managerOther are how long an agent stays in its pod while its
	// manager does not answer, or another manager does in its place.
	managerGone  = 15 * time.Minute
	managerOther = 10 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := start(ctx, os.Args[1:], os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "traffic-agent:", err)
		os.Exit(1)
	}
}

// start is the agent in one of its three roles: "redirect" in an init container,
// "sidecar" in a container that the pod was made with, without arguments in an
// ephemeral container.
func start(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	switch {
	case len(args) == 0:
		return run(ctx, getenv, stderr)
	case len(args) == 1 && args[0] == "redirect":
		return redirect(getenv)
	case len(args) == 1 && args[0] == "sidecar":
		return runSidecar(ctx, getenv, stderr)
	}
	return fmt.Errorf("arguments %q: there are none but redirect and sidecar", args)
}

// run is the life of an ephemeral agent. It returns nil after the manager or a
// signal, by way of ctx, asked it to end, or when it has no manager any more.
func run(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	a, err := begin(ctx, getenv, stderr)
	if err != nil {
		return err
	}
	defer a.end()
	table, err := capture.Open()
	if err != nil {
		return err
	}
	exempt(table, os.Getegid(), a.log)
	rules := entrance.NewRules(a.serving, a.settings.PodAddrs, table, a.opener, a.log)
	set := ports.New(a.serving, rules, a.opener, false, a.log)
	defer a.close(ctx, set, lastFlows)
	err = a.obey(ctx, set, control.Patience{Gone: managerGone, Stranger: managerOther})
	a.log.Info("ending", "error", err)
	return err
}

// exempt keeps the agent's own connections out of a mesh, whose proxy may not let
// them through or not be up yet. It tells them by their group, which the manager
// gives to agents alone. Root's group does not tell them from others.
func exempt(table *capture.Table, gid int, log *slog.Logger) {
	if gid == 0 {
		return
	}
	needed, err := table.Exempt(uint32(gid))
	switch {
	case err != nil:
		log.Warn("connections to the manager may be redirected by others", "error", err)
	case needed:
		log.Info("connections to the manager are exempt from the redirects in the pod")
	}
}
