//go:build linux

// Mesh imitates a service mesh in tests. It is the program of both containers that a
// mesh puts into a pod.
//
//	mesh init    sets the redirects of istio-init or linkerd-init (NET_ADMIN)
//	mesh proxy   accepts the redirected connections, and speaks mTLS with other proxies
//
// Its redirects have the ports, users and exceptions of the real meshes, because an
// agent in the pod must work beside these:
//
//	          in      out     user   admin   passes on to the application
//	istio     15006   15001   1337   15021   from 127.0.0.6, to the pod's address
//	linkerd   4143    4140    2102   4191    from and to the pod's address
//
// It has no control plane: environment variables configure it; see Config. With istio
// it also reads the Sidecar objects of its namespace, if MESH_SIDECARS is set. It
// supports IPv4 only. It takes every inbound connection that begins like TLS for one
// from another proxy of the mesh.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "mesh:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string) error {
	cfg, err := ConfigFrom(getenv)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "init":
		return SetRules(cfg)
	case len(args) == 1 && args[0] == "proxy":
		return Serve(ctx, cfg)
	}
	return fmt.Errorf("arguments %q: say init or proxy", args)
}
