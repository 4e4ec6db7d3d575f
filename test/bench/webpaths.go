package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
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

// webPaths are the paths that requests are measured on. Nginx and HAProxy are where the agent
// is on its path: in the application's pod, behind a redirect of the kernel.
func (b *bench) webPaths(proxied string) []webPath {
	plain, _, _ := net.SplitHostPort(b.plain)
	agent, _, _ := net.SplitHostPort(b.ephemeral)
	at := func(h1, h2 string) map[string]string {
		return map[string]string{web.HTTP1: h1, web.HTTP2: h2, web.GRPC: h2}
	}
	return []webPath{
		{report.Direct, plain, nil, "nobody", "pod"},
		{report.Nginx, proxied, at("7080", "7081"), "nobody", "pod"},
		{report.HAProxy, proxied, at("7090", "7091"), "nobody", "pod"},
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
	if host, _, err = net.SplitHostPort(addr); err != nil {
		return "", err
	}
	return host, b.redirectToProxies(ctx, host)
}

// redirects bring callers to nginx and HAProxy, as the agent's rules bring them to the agent.
const redirects = `table ip bench {
	chain wire {
		type nat hook prerouting priority -90
		tcp dport 7080 redirect to :8080
		tcp dport 7081 redirect to :8081
		tcp dport 7090 redirect to :8090
		tcp dport 7091 redirect to :8091
	}
}
`

func (b *bench) redirectToProxies(ctx context.Context, host string) error {
	pids := slices.DeleteFunc(b.lab.findAll(nginxProcess), func(pid int) bool { return !hasAddress(pid, host) })
	if len(pids) == 0 {
		return errors.New("nginx does not run")
	}
	file := filepath.Join(b.lab.tmp, "redirects")
	if err := os.WriteFile(file, []byte(redirects), 0o600); err != nil {
		return err
	}
	_, err := output(ctx, time.Minute, []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", pids[0]), "nft", "-f", file}, b.lab.env)
	return err
}
