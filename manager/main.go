// Traffic-manager watches Intercepts, brings agents into pods and relays flows
// between agents and laptops.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "traffic-manager:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("traffic-manager", flag.ContinueOnError)
	o.addFlags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := o.complete(os.Getenv); err != nil {
		return err
	}
	if err := limitMemory(os.Getenv); err != nil {
		return err
	}
	o.logs = new(slog.LevelVar)
	o.logs.Set(o.level)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: o.logs}))
	log.Info("traffic-manager", "version", version.Version, "pod", o.pod, "namespace", o.namespace)
	return run(ctx, log, &o)
}
