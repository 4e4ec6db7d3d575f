// Package netd is `kubectl intercept netd`: intercept-netd as a service of this
// machine.
package netd

import (
	"context"
	"fmt"
	"os"
	"os/user"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
)

// NewCommand returns the command with its verbs.
func NewCommand(finder *netd.Finder) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "netd",
		DisableFlagsInUseLine: true,
		Short:                 "Let connect work without a password",
		Long: templates.LongDesc(`
			intercept-netd sets up this machine's network for kubectl intercept connect: it is
			the only part that runs as root. Without more, connect starts it with sudo; on
			Windows it has to be a service.

			As a service it is there when connect needs it, and no password is asked.`),
		Example: templates.Examples(`
			# Once, for yourself
			kubectl intercept netd install

			# For everybody in a group
			kubectl intercept netd install --group developers

			# What is installed, and does it run?
			kubectl intercept netd status`),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newInstall(finder), newUninstall(finder), newStatus(finder), newUndo(finder))
	return cmd
}

func newInstall(finder *netd.Finder) *cobra.Command {
	var group string
	cmd := &cobra.Command{
		Use:                   "install",
		DisableFlagsInUseLine: true,
		Short:                 "Install intercept-netd as a service, for you or a group",
		Long: templates.LongDesc(`
			Copy intercept-netd to ` + handover.Binary + `, as root, and let systemd start
			it when somebody asks: you, or the members of a group. They can lead this
			machine's traffic into a cluster. On macOS launchd keeps it running, and on
			Windows the service manager, where wintun.dll has to be beside intercept-netd.exe.

			Again, it replaces what is installed; sessions connect again.`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return install(cmd.Context(), finder, group)
		},
	}
	cmd.Flags().StringVar(&group, "group", "", "Who may use it: the members of this group instead of you alone")
	return cmd
}

func install(ctx context.Context, f *netd.Finder, group string) error {
	name := ""
	if group == "" {
		var err error
		if name, err = person(); err != nil {
			return err
		}
	}
	owner, err := netd.Own(name, group)
	if err != nil {
		return err
	}
	if err := f.Install(ctx, owner); err != nil {
		return err
	}
	_, err = fmt.Fprintf(f.ErrOut, "intercept-netd is installed: %s may connect without a password\n", name+group)
	return err
}

// person is who sits at this machine, also under sudo.
func person() (string, error) {
	if name := os.Getenv("SUDO_USER"); os.Getuid() == 0 && name != "" {
		return name, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	return u.Username, nil
}

func newUninstall(finder *netd.Finder) *cobra.Command {
	return &cobra.Command{
		Use:                   "uninstall",
		DisableFlagsInUseLine: true,
		Short:                 "Remove the service",
		Long: templates.LongDesc(`
			Remove the service and its copy of intercept-netd, as root. What it has done to
			this machine's network is undone; intercepts stay.`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			was, err := finder.Uninstall(cmd.Context())
			if err != nil {
				return err
			}
			text := "intercept-netd is removed"
			if !was {
				text = "intercept-netd is not installed"
			}
			_, err = fmt.Fprintln(finder.ErrOut, text)
			return err
		},
	}
}
