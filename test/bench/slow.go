package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

const oneWay = 10 * time.Millisecond

// Counts for the latency figures with the delay. They are small, because each round trip
// takes at least 20 ms.
const (
	slowPings    = "50"
	slowConnects = "20"
)

// delay measures with an API server that is 20 ms away from the laptop. Callers of the
// intercept are in the cluster, so each of their round trips crosses the delay line once
// in each direction.
func (b *bench) delay(ctx context.Context) (err error) {
	if err := b.drop(ctx); err != nil {
		return err
	}
	b.dropForward()
	defer b.dropForward()
	kubeconfig, server, err := b.slowKubeconfig(ctx)
	if err != nil {
		return err
	}
	line, err := start(ctx, b.lab.laptop(b.lab.self, "delay", "-listen=127.0.0.1:"+linePort, "-target="+server,
		"-oneway="+oneWay.String()), b.lab.env, ready)
	if err != nil {
		return err
	}
	defer line.stop()
	// The old sessions use the API server's own address. Only the new one is measured.
	if err := b.lab.endSessions(ctx); err != nil {
		return err
	}
	if _, err := b.lab.add(ctx, "ephemeral", kubeconfig); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.lab.leave(ctx, "ephemeral", kubeconfig)) }()

	forwarded := path{column: report.Forward, in: b.lab.laptop, addr: "127.0.0.1:" + slowPort, ensure: func(ctx context.Context) error {
		return b.keepForward(ctx, slowPort, kubeconfig)
	}}
	paths := []path{forwarded, b.intercepted()}
	peaks := b.watchPeaks()
	for range b.rounds {
		for _, t := range transfers() {
			for _, w := range paths {
				if _, err := b.transfer(ctx, w, t, "delay."+t.key); err != nil {
					return err
				}
			}
		}
		for _, w := range paths {
			if err := b.latencies(ctx, w, "delay.", slowPings, slowConnects); err != nil {
				return err
			}
		}
	}
	peaks.note(phaseSlow)
	return nil
}

// slowKubeconfig writes a kubeconfig whose server is the delaying proxy. It returns the path
// of the file and the address of the API server. Clients verify the server's certificate
// against the API server's address, not against that of the line.
func (b *bench) slowKubeconfig(ctx context.Context) (file, server string, err error) {
	flat, err := b.lab.kubectl(ctx, "config", "view", "--raw", "--flatten")
	if err != nil {
		return "", "", err
	}
	file = filepath.Join(b.lab.tmp, "slow.yaml")
	if err := os.WriteFile(file, []byte(flat+"\n"), 0o600); err != nil {
		return "", "", err
	}
	// "name server"
	entry, err := b.lab.kubectl(ctx, "config", "view", "--output=jsonpath={.clusters[0].name} {.clusters[0].cluster.server}")
	if err != nil {
		return "", "", err
	}
	name, url, _ := strings.Cut(entry, " ")
	server = strings.TrimPrefix(url, "https://")
	host, _, _ := strings.Cut(server, ":")
	_, err = b.lab.kubectl(ctx, "config", "--kubeconfig="+file, "set-cluster", name,
		"--server=https://127.0.0.1:"+linePort, "--tls-server-name="+host)
	return file, server, err
}
