// Traffic-agent runs in a pod and redirects connections to some of the pod's ports
// to a laptop. The traffic-manager tells it which ports, and when to stop.
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
	// lastFlows is how long open connections may last after the agent has been
	// asked to exit.
	lastFlows = 10 * time.Second
	// managerGone is how long an ephemeral agent runs while its manager does not
	// answer. managerOther is how long it runs while another manager, whose
	// certificate it does not trust, answers at the manager's address.
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

// start runs the agent in one of four roles, by its argument: "redirect" in an init
// container, "sidecar" in a sidecar container, "container" in an ephemeral container beside
// another container, and no argument in an ephemeral container that captures ports.
func start(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	switch {
	case len(args) == 0:
		return run(ctx, getenv, stderr)
	case len(args) == 1 && args[0] == "redirect":
		return redirect(getenv)
	case len(args) == 1 && args[0] == "sidecar":
		return runSidecar(ctx, getenv, stderr)
	case len(args) == 1 && args[0] == "container":
		return runContainer(ctx, getenv, stderr)
	}
	return fmt.Errorf("unknown arguments %q: use redirect, sidecar, container or none", args)
}

// run runs an ephemeral agent. It returns nil after the manager has asked the agent
// to exit, after ctx has ended because of a signal, and after the manager has been
// gone for too long.
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
	err = a.applyPlans(ctx, set, control.Patience{Gone: managerGone, OtherAuthority: managerOther})
	a.log.Info("ending", "error", err)
	return err
}

// exempt keeps a service mesh from redirecting the agent's own connections to its
// proxy, which might refuse them or not be ready yet. The nftables rule recognizes the
// agent's connections by the group ID of their process. The manager gives this group
// to agents only. If the group ID is 0, exempt does nothing, because other processes
// of the pod may have it too.
func exempt(table *capture.Table, gid int, log *slog.Logger) {
	if gid == 0 {
		return
	}
	needed, err := table.Exempt(uint32(gid))
	tell(needed, err, log)
}

// tell logs what came of an exemption.
func tell(needed bool, err error, log *slog.Logger) {
	switch {
	case err != nil:
		log.Warn("cannot exempt connections to the manager from the redirects in the pod", "error", err)
	case needed:
		log.Info("connections to the manager are exempt from the redirects in the pod")
	}
}
