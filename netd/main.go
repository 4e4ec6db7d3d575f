// Command intercept-netd is what kubectl intercept runs as root: it opens a
// TUN, sets addresses, routes and DNS for a session, and undoes all of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// version is the release; the Makefile sets it.
var version = "dev"

const usage = `usage: intercept-netd COMMAND

  serve      answer sessions at a socket, until they are gone
  undo       undo what a killed intercept-netd has left; kubectl intercept disconnect --all ends what is in use
  version    print the release

kubectl intercept starts it; see kubectl intercept netd --help.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "intercept-netd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	log := slog.New(slog.NewTextHandler(errOut, nil))
	if len(args) == 0 {
		return errors.New("name a command; see intercept-netd help")
	}
	command, args := args[0], args[1:]
	fs := flag.NewFlagSet("intercept-netd "+command, flag.ContinueOnError)
	fs.SetOutput(errOut)
	var f func() error
	switch command {
	case "serve":
		f = serve(ctx, fs, log)
	case "undo":
		f = func() error { return undo(log) }
	case "version":
		f = func() error { _, err := fmt.Fprintln(out, version); return err }
	case "help", "-h", "--help":
		_, err := io.WriteString(out, usage)
		return err
	default:
		if f = more(command, fs); f != nil {
			break
		}
		return fmt.Errorf("there is no command %q; see intercept-netd help", command)
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%s: what is %q?", command, fs.Arg(0))
	}
	if command != "version" && os.Geteuid() > 0 {
		return fmt.Errorf("%s: needs root; try it with sudo", command)
	}
	return f()
}
