//go:build linux

package lab

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
)

// ServeNetd starts intercept-netd as systemd would, until the test ends. It returns when
// intercept-netd listens.
func (p *Laptop) ServeNetd() *exec.Cmd {
	p.lab.Helper()
	const socket = "/run/intercept-netd/netd.sock"
	p.lab.Must(p.Command(context.Background(), "rm", "-f", socket).Run()) // of one that was killed
	netd := p.Command(context.Background(), "intercept-netd", "serve", "--socket", socket)
	log := &strings.Builder{}
	netd.Stderr = log
	p.lab.Must(netd.Start())
	done := make(chan struct{})
	go func() { _ = netd.Wait(); close(done) }()
	p.lab.Cleanup(func() {
		_ = netd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-done
		if p.lab.Failed() {
			p.lab.Logf("--- intercept-netd\n%s", log)
		}
	})
	p.lab.Until("intercept-netd listens", func() error {
		return p.Command(context.Background(), "test", "-S", socket).Run()
	})
	return netd
}
