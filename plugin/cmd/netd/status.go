package netd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// patience is how long a program may take to tell its version.
const patience = 10 * time.Second

// Status is what -o json prints.
type Status struct {
	// Program is what would be started; "" if it is not there.
	Program   string     `json:"program,omitempty"`
	Installed *Installed `json:"installed,omitempty"`
	Running   *Running   `json:"running,omitempty"`
	// Problem is why what runs cannot be used.
	Problem string `json:"problem,omitempty"`

	system string // as Finder.System
}

// Installed is root's copy.
type Installed struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// Running is a netd that answers.
type Running struct {
	Socket  string `json:"socket"`
	Version string `json:"version"`
	Service bool   `json:"service"`
}

func newStatus(finder *netd.Finder) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:                   "status",
		DisableFlagsInUseLine: true,
		Short:                 "Show what is installed and whether it runs",
		Args:                  cobra.NoArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := look(cmd.Context(), finder)
			if err != nil {
				return err
			}
			if output != "" {
				return render.Structured(finder.Out, output, s)
			}
			_, err = fmt.Fprint(finder.Out, s)
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "Output format: json or yaml")
	return cmd
}

func look(ctx context.Context, f *netd.Finder) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s := &Status{system: f.System}
	s.Program, _ = f.Program() // else: it is not there
	copied := f.Installed
	if _, err := os.Stat(copied); err == nil {
		out, err := exec.CommandContext(ctx, copied, "version").Output()
		if err != nil {
			return nil, fmt.Errorf("%s version: %w", copied, err)
		}
		s.Installed = &Installed{Path: copied, Version: strings.TrimSpace(string(out))}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	found, err := f.Running(ctx)
	switch {
	case err != nil:
		s.Problem = err.Error()
	case found != nil:
		s.Running = &Running{Socket: found.Socket, Version: found.Release, Service: found.Socket == f.Service}
		return s, found.Close()
	}
	return s, nil
}

func (s *Status) String() string {
	var b strings.Builder
	switch {
	case s.Installed != nil:
		fmt.Fprintf(&b, "Installed: version %s, %s\n", s.Installed.Version, s.Installed.Path)
	case s.Program != "" && s.system == "windows":
		fmt.Fprintf(&b, "Installed: no; kubectl intercept netd install makes %s a service\n", s.Program)
	case s.Program != "":
		fmt.Fprintf(&b, "Installed: no; connect starts %s with sudo\n", s.Program)
	default:
		fmt.Fprint(&b, "Installed: no, and intercept-netd is not there to be started\n")
	}
	switch {
	case s.Problem != "":
		fmt.Fprintf(&b, "Running: cannot be used: %s\n", s.Problem)
	case s.Running == nil:
		fmt.Fprint(&b, "Running: no\n")
	case s.Running.Service:
		fmt.Fprintf(&b, "Running: version %s, as a service at %s\n", s.Running.Version, s.Running.Socket)
	default:
		fmt.Fprintf(&b, "Running: version %s, for you, at %s\n", s.Running.Version, s.Running.Socket)
	}
	return b.String()
}
