package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/web"
)

//go:embed proxied.yaml
var proxiedManifest string

// Ports of HTTP servers.
const (
	webPort        = "7001" // in the pods
	webProgramPort = "9005" // on the laptop
)

// webPath is how requests reach a server.
type webPath struct {
	column string
	host   string            // of the pod
	ports  map[string]string // other than webPort, by protocol
	value  string            // of webField
	server string            // who answers
}

// webPaths are the paths that requests are measured on. Nginx and HAProxy are in a pod of
// their own, as the agent is, and pass on what they get to an application in the same pod.
// They listen at ports of their own: a redirect, as callers of the agent have it, would cost
// them a little more.
func (b *bench) webPaths(proxied string) []webPath {
	plain, _, _ := net.SplitHostPort(b.plain)
	agent, _, _ := net.SplitHostPort(b.ephemeral)
	at := func(h1, h2 string) map[string]string {
		return map[string]string{web.HTTP1: h1, web.HTTP2: h2, web.GRPC: h2}
	}
	return []webPath{
		{report.Direct, plain, nil, "nobody", "pod"},
		{report.Nginx, proxied, at("8080", "8081"), "nobody", "pod"},
		{report.HAProxy, proxied, at("8090", "8091"), "nobody", "pod"},
		{report.Matched, agent, nil, "laptop", "laptop"},
		{report.Unmatched, agent, nil, "nobody", "pod"},
	}
}

// arguments are those of a call on the path.
func (w webPath) arguments(load web.Load) []string {
	load.Value, load.Server = w.value, w.server
	text, err := json.Marshal(load)
	if err != nil {
		panic(err) // text and numbers alone
	}
	port := webPort
	if p := w.ports[load.Protocol]; p != "" {
		port = p
	}
	return []string{"-addr=" + net.JoinHostPort(w.host, port), "-load=" + string(text)}
}

// request makes requests on a path, for a time.
func (b *bench) request(ctx context.Context, w webPath, load web.Load, length time.Duration) (result, error) {
	count := 1 << 30
	if load.Fresh { // the kernel remembers each connection for two minutes
		count = 500
	}
	args := append(w.arguments(load), "-count="+strconv.Itoa(count), "-length="+length.String())
	return b.call(ctx, path{column: w.column, in: b.lab.node}, "requests", args...)
}

// deployProxies deploys nginx and HAProxy, and returns the address of their pod.
func (b *bench) deployProxies(ctx context.Context) (host string, err error) {
	archive := filepath.Join(b.lab.bin, "apps.tar")
	if _, err := output(ctx, time.Minute, []string{b.lab.program("cluster"), "load", "--name", b.lab.name, archive}, b.lab.env); err != nil {
		return "", fmt.Errorf("%w (make bin/apps.tar makes it)", err)
	}
	file := filepath.Join(b.lab.tmp, "proxied.yaml")
	if err := os.WriteFile(file, []byte(proxiedManifest), 0o600); err != nil {
		return "", err
	}
	if _, err := b.lab.kubectl(ctx, "delete", "deployment/proxied", "--ignore-not-found", "--cascade=foreground"); err != nil {
		return "", err
	}
	if _, err := b.lab.kubectl(ctx, "apply", "-f", file); err != nil {
		return "", err
	}
	addr, err := b.lab.podAddress(ctx, "proxied")
	if err != nil {
		return "", err
	}
	host, _, err = net.SplitHostPort(addr)
	return host, err
}
