// Package cmd is the command line of `kubectl intercept`: the root command,
// which holds one package per verb, and Run, which executes it.
package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/add"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/check"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/completion"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/config"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/connect"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/disconnect"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/env"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/gather"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/install"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/leave"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/license"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/list"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/loglevel"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/logs"
	netdcmd "github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/preview"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/quit"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/run"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/status"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/top"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/uninstall"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/upgrade"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/daemon"
)

// Sessions is what the verbs need of the background process.
type Sessions interface {
	add.Sessions
	status.Sessions
	connect.Sessions
	disconnect.Sessions
	quit.Sessions
	leave.Sessions
	run.Sessions
	preview.Sessions
	logs.Sessions
	gather.Sessions
	version.Sessions
	loglevel.Sessions
	top.Sessions
}

const (
	groupIntercept = "intercept"
	groupCluster   = "cluster"
	groupMachine   = "machine"
)

// newRoot returns the root command. quiet takes effect through err, which
// must be the ErrOut of streams.
func newRoot(f *kube.Factory, streams genericiooptions.IOStreams, err *errOut, sessions Sessions) *cobra.Command {
	root := &cobra.Command{
		Use:                   "kubectl-intercept",
		Annotations:           map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl intercept"},
		DisableFlagsInUseLine: true,
		Short:                 "Send a workload's traffic to your machine",
		Long: templates.LongDesc(`
			Send the traffic of a workload in a Kubernetes cluster to a program on your
			machine, and give it back.`),
		Example: templates.Examples(`
			# Once per cluster
			kubectl intercept install

			# What arrives at port http of deployment quote comes to 127.0.0.1:8080
			kubectl intercept add deploy/quote --port 8080:http

			# The application answers again
			kubectl intercept leave quote`),
		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		SilenceErrors:              true,
		Args:                       knownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.AddFlags(root.PersistentFlags())
	root.PersistentFlags().BoolVarP(&err.quiet, "quiet", "q", false, "Print no progress and no warnings, only results and errors")
	root.SetUsageTemplate(usage)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.SetFlagErrorFunc(knownFlag)

	root.AddGroup(
		&cobra.Group{ID: groupIntercept, Title: "Intercept:"},
		&cobra.Group{ID: groupCluster, Title: "Cluster side:"},
		&cobra.Group{ID: groupMachine, Title: "This machine:"})
	for _, c := range []*cobra.Command{
		add.NewCommand(f, streams, sessions), list.NewCommand(f, streams),
		leave.NewCommand(f, streams, sessions), status.NewCommand(f, streams, sessions),
		preview.NewCommand(f, streams, sessions), env.NewCommand(f, streams, sessions),
		connect.NewCommand(f, streams, sessions), disconnect.NewCommand(f, streams, sessions),
		run.NewCommand(f, streams, sessions), quit.NewCommand(f, streams, sessions),
	} {
		c.GroupID = groupIntercept
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{
		install.NewCommand(f, streams), upgrade.NewCommand(f, streams), uninstall.NewCommand(f, streams),
		check.NewCommand(f, streams), license.NewCommand(f, streams), loglevel.NewCommand(f, streams, sessions), top.NewCommand(f, streams, sessions),
	} {
		c.GroupID = groupCluster
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{
		netdcmd.NewCommand(netd.Default(streams)), logs.NewCommand(f, streams, sessions),
		gather.NewCommand(f, streams, sessions), config.NewCommand(f, streams), completion.NewCommand(streams),
	} {
		c.GroupID = groupMachine
		root.AddCommand(c)
	}
	root.AddCommand(version.NewCommand(f, streams, sessions), daemon.NewCommand(f, streams), run.NewInside(), add.NewWatch(), newOptions(root), newLogin(streams))
	polish(root)
	return root
}

// newOptions is kubectl's way to keep the flags that all commands share out
// of every help text.
func newOptions(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "options",
		Short: "List the flags that all commands share",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "The following options can be passed to any command:\n\n%s", root.PersistentFlags().FlagUsages())
			return err
		},
	}
}

// warnings makes what the API server warns about look like kubectl's.
func warnings(f *kube.Factory, streams genericiooptions.IOStreams) {
	wrap := f.WrapConfigFn
	f.WithWrapConfigFn(func(c *rest.Config) *rest.Config {
		if wrap != nil {
			c = wrap(c)
		}
		c.WarningHandler = rest.NewWarningWriter(streams.ErrOut, rest.WarningWriterOptions{
			Deduplicate: true, Color: printers.AllowsColorOutput(streams.ErrOut)})
		return c
	})
}

// usage is cobra's template without aliases and without the shared flags.
const usage = `Usage:
  {{if .HasParent}}{{.UseLine}} [flags]{{else}}{{.CommandPath}} COMMAND [flags]{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}

Other:{{range $cmds}}{{if and (eq .GroupID "") (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if and .HasParent .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{if .HasAvailableSubCommands}}
Use "{{.CommandPath}} COMMAND --help" for more about a command.{{end}}
Use "{{.Root.CommandPath}} options" for the flags that all commands share.
`
