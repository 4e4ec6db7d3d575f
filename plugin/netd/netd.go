// Package netd finds intercept-netd, the program that sets up this machine's
// network as root, or starts it.
package netd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// Finder looks for netd, and starts it. Default fills it.
type Finder struct {
	genericiooptions.IOStreams

	Service   string // the socket of the installed service
	Socket    string // that of a netd started for this user
	UID       int    // this user
	Beside    string // where the program comes with the plugin
	Installed string // root's copy
	Units     string // the folder of systemd's units, or launchd's daemons
	Booted    string // is there if systemd runs, sd_booted(3)
	System    string // as runtime.GOOS has it; "" is as Linux
	Conf      string // what programs learn their name servers from
	// Run runs a command line on the terminal.
	Run func(ctx context.Context, args ...string) error
}

// Default returns a Finder for this machine.
func Default(streams genericiooptions.IOStreams) *Finder {
	f := &Finder{IOStreams: streams, UID: os.Getuid(), Beside: beside(), Installed: handover.Binary, Units: unitDir, Booted: "/run/systemd/system", System: runtime.GOOS, Conf: resolvConf}
	if f.System == "darwin" {
		f.Units = daemonDir
	}
	f.Service, f.Socket = handover.ServiceSocket(), handover.UserSocket(f.UID)
	f.Run = func(ctx context.Context, args ...string) error {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdin, cmd.Stderr = streams.In, streams.ErrOut // what they print, such as netd's socket, is known
		return cmd.Run()
	}
	return f
}

// beside is the folder of the plugin, which a plugin manager may have linked.
func beside() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	name := "intercept-netd"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(filepath.Dir(self), name)
}

// Found is a netd that runs. It does not end before Close.
type Found struct {
	// Socket is where a session dials it.
	Socket string
	// Release is its version.
	Release string

	held *handover.Client
}

// Close lets a netd go that was started on demand: without a session it ends.
// Call it when the session has dialed.
func (f *Found) Close() error { return f.held.Close() }

// Dial finds the netd that is there: the service, or one that was started for
// this user. Otherwise it starts one with sudo, which may ask for a password,
// after saying what it runs.
func Dial(ctx context.Context, streams genericiooptions.IOStreams) (*Found, error) {
	return Default(streams).Dial(ctx)
}

// Dial is the function of that name.
func (f *Finder) Dial(ctx context.Context) (*Found, error) {
	found, err := f.Running(ctx)
	if found != nil || err != nil {
		return found, err
	}
	program, err := f.Program()
	if err != nil {
		return nil, err
	}
	if f.System == "windows" {
		return nil, errors.New("intercept-netd does not run, and Windows starts it as a service only: kubectl intercept netd install makes it one, with an administrator's consent\n" +
			"Without that there is kubectl intercept connect --proxy")
	}
	serve := []string{program, "serve", "--detach", "--once", "--socket=" + f.Socket, fmt.Sprintf("--uid=%d", f.UID)}
	if f.UID != 0 {
		fmt.Fprintf(f.ErrOut, "root is needed to set up this machine's network. Running:\n    sudo -- %s\n", strings.Join(serve, " "))
	}
	rerr := f.root(ctx, serve...)
	// Somebody else may have started one meanwhile.
	found, err = f.Running(ctx)
	switch {
	case found != nil:
		return found, nil
	case rerr != nil:
		return nil, fmt.Errorf("start intercept-netd: %w\nWithout root there is kubectl intercept connect --proxy", rerr)
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("intercept-netd was started and does not answer; its log is %s", filepath.Join(handover.RunDir(), "log"))
}

// Undo undoes what one that was killed has left.
func (f *Finder) Undo(ctx context.Context) error {
	program, err := f.Program()
	if err != nil {
		return err
	}
	if f.System == "windows" {
		return f.elevate(ctx, "undo what intercept-netd has left", program, "undo")
	}
	if f.UID != 0 {
		fmt.Fprintf(f.ErrOut, "root is needed to set up this machine's network. Running:\n    sudo -- %s undo\n", program)
	}
	if err := f.root(ctx, program, "undo"); err != nil {
		return fmt.Errorf("intercept-netd undo: %w", err)
	}
	return nil
}

// Left is the function of that name.
func (f *Finder) Left() bool { return left(f.Conf) }

// Running finds a netd that answers, or nil. The error is one that starting
// another would not help.
func (f *Finder) Running(ctx context.Context) (*Found, error) {
	for _, socket := range []string{f.Service, f.Socket} {
		c, err := handover.Dial(ctx, socket)
		if err == nil {
			return &Found{Socket: socket, Release: c.Release(), held: c}, nil
		}
		var version *handover.VersionError
		if errors.As(err, &version) || ctx.Err() != nil {
			return nil, err
		}
		if errors.Is(err, fs.ErrPermission) {
			fmt.Fprintf(f.ErrOut, "intercept-netd is installed for somebody else: %v\n", err)
		}
	}
	return nil, nil
}

// Program is the path of intercept-netd.
func (f *Finder) Program() (string, error) {
	for _, p := range []string{f.Beside, f.Installed} {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return p, nil
		}
	}
	return "", fmt.Errorf("intercept-netd is not there: looked for %s and %s; it comes with the plugin, put it beside it", f.Beside, f.Installed)
}

// root runs a command line as root: with sudo unless this is root.
func (f *Finder) root(ctx context.Context, args ...string) error {
	plain := args
	if f.UID != 0 {
		args = append([]string{"sudo", "--"}, args...)
	}
	err := f.Run(ctx, args...)
	if errors.Is(err, exec.ErrNotFound) && f.UID != 0 {
		return fmt.Errorf("there is no sudo: run this as root: %s", strings.Join(plain, " "))
	}
	return err
}
