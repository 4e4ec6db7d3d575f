package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
)

// Netd is the log of intercept-netd: a file, or systemd's journal. Where only root may read
// it, sudo does, and asks for a password only if the options allow.
func Netd(f *netd.Finder) Source {
	return Source{Name: "netd", Write: func(ctx context.Context, w io.Writer, o Options) error {
		file, unit := f.Log()
		if unit != "" {
			return journal(ctx, f, w, unit, o)
		}
		err := File("netd", file, "there is no log of intercept-netd: it has not run since this machine started").Write(ctx, w, o)
		if !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return asRoot(ctx, f, w, o, []string{"cat", file}, tail(file, o))
	}}
}

// journal reads systemd's.
func journal(ctx context.Context, f *netd.Finder, w io.Writer, unit string, o Options) error {
	args := []string{"journalctl", "--unit", unit, "--no-pager", "--output", "cat"}
	if !o.Since.IsZero() {
		args = append(args, fmt.Sprintf("--since=@%d", o.Since.Unix()))
	}
	if o.Tail >= 0 {
		args = append(args, "--lines", strconv.FormatInt(o.Tail, 10))
	} else {
		args = append(args, "--lines", "all")
	}
	if o.Follow {
		args = append(args, "--follow")
	}
	plain := Options{Tail: -1, Follow: o.Follow, Ask: o.Ask} // journalctl has applied the rest
	if !opens(systemJournals()) {
		return asRoot(ctx, f, w, plain, args, args)
	}
	var errs strings.Builder
	if err := program(ctx, nil, w, &errs, args, plain); err != nil {
		return fmt.Errorf("read the journal of %s: %s", unit, firstLine(errs.String(), err))
	}
	return nil
}

// systemJournals are where systemd keeps what its services log. Without a right to read
// them, journalctl shows nothing and calls that a success.
func systemJournals() []string {
	return []string{"/var/log/journal/*/system.journal", "/run/log/journal/*/system.journal"}
}

// opens says that this user may read one of the files.
func opens(patterns []string) bool {
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, path := range paths {
			if f, err := os.Open(path); err == nil {
				f.Close()
				return true
			}
		}
	}
	return false
}

// tail is the command line that follows a file.
func tail(file string, o Options) []string {
	lines := "+1"
	if o.Tail >= 0 {
		lines = strconv.FormatInt(o.Tail, 10)
	}
	return []string{"tail", "-n", lines, "-F", file}
}

// asRoot runs a command line with sudo: one that ends, or to follow another.
func asRoot(ctx context.Context, f *netd.Finder, w io.Writer, o Options, once, follow []string) error {
	line := once
	if o.Follow {
		line, o.Tail = follow, -1 // which it has applied
	}
	sudo := []string{"sudo", "--"}
	if !o.Ask {
		sudo = []string{"sudo", "-n", "--"}
	} else {
		fmt.Fprintf(f.ErrOut, "only root may read the log of intercept-netd. Running:\n    sudo -- %s\n", strings.Join(line, " "))
	}
	var errs strings.Builder
	if err := program(ctx, f.In, w, &errs, append(sudo, line...), o); err != nil {
		return fmt.Errorf("only root may read the log of intercept-netd: run sudo %s (%s)", strings.Join(line, " "), firstLine(errs.String(), err))
	}
	return nil
}

func firstLine(text string, err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if line == "" {
		return err.Error()
	}
	return line
}

// program runs a command line, and writes what the options leave of its output.
func program(ctx context.Context, in io.Reader, w, errs io.Writer, args []string, o Options) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stderr = in, errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	rerr := recent(w, out, o)
	if errors.Is(rerr, os.ErrClosed) { // it has ended
		rerr = nil
	}
	return errors.Join(rerr, cmd.Wait())
}
