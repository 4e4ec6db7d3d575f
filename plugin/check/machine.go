package check

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// ThisMachine returns the Machine on which the plugin runs.
func ThisMachine() Machine {
	return Machine{LookPath: exec.LookPath, Executable: os.Executable, SessionsDir: state.Usable, Routes: routes, Netd: helper}
}

// helper looks for intercept-netd, but does not start it.
func helper(ctx context.Context) (string, error) {
	f := netd.Default(genericiooptions.IOStreams{ErrOut: io.Discard})
	found, err := f.Running(ctx)
	if err != nil {
		return "", err
	}
	if found != nil {
		defer found.Close()
		return fmt.Sprintf("intercept-netd %s answers on %s", found.Release, found.Socket), nil
	}
	program, err := f.Program()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("connect starts %s as root; kubectl intercept netd install makes it a service that asks for no password", program), nil
}

// attached returns the networks of the addresses of this machine.
func attached() ([]Route, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []Route
	for _, l := range links {
		addrs, err := l.Addrs()
		if err != nil || l.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out = append(out, Route{p.Masked(), l.Name})
			}
		}
	}
	return out, nil
}
