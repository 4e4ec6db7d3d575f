// Package add is `kubectl intercept add`: it makes an Intercept, or changes
// one's ports and conditions, and waits until traffic of the workload arrives on this
// machine.
package add

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Flags are the command line as it was typed.
type Flags struct {
	intercept.Flags

	Wait    bool
	Preview previewFlags
	// Container says that the local program is one.
	Container containerFlags
	Print     *genericclioptions.PrintFlags
}

// Sessions is what this needs of the background process.
type Sessions interface {
	intercept.Sessions
	// Find returns nil when none runs for the kube context.
	Find(ctx context.Context, f *kube.Factory) (*session.Status, error)
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	flags := &Flags{Flags: intercept.DefaultFlags(), Wait: true, Print: genericclioptions.NewPrintFlags("intercepted")}
	cmd := &cobra.Command{
		Use:                   "add (TYPE/NAME | NAME) --port [HOST:]LOCAL[:SVCPORT[/PROTO]] [--match NAME=REGEXP] [-- COMMAND... | --docker-run -- IMAGE...]",
		Aliases:               []string{"intercept"},
		DisableFlagsInUseLine: true,
		Short:                 "Send a workload's traffic to this machine",
		Long: templates.LongDesc(`
			Send the traffic of a workload's ports to ports on this machine.

			Every pod of the workload takes part, those that appear later too. No pod is
			restarted, except where the agent can enter as a sidecar only: then pods are
			replaced, one after the other. TYPE is ` + target.Kinds + `; NAME alone means a deployment.
			Adding the same workload again changes what the flags say, and the intercept keeps
			the rest: its mode, its conditions, its preview. To start afresh, leave it first.

			With --match, only the HTTP requests that meet all conditions come here. The
			application answers the others, also those of the same connection. So several
			developers can intercept one port, each with conditions of their own. A regular
			expression has the syntax of RE2 and must match the whole value: louise does not
			match louise2, and louise.* does. OpenTelemetry passes members of baggage and
			tracestate on from service to service, so they also select requests of a service
			that is called by others only.

			With --mode replace, this machine has the traffic of the ports, if any are named, and a
			container of every pod is stopped meanwhile, without being restarted: it takes nothing
			from queues either. Its processes go on where they were when the intercept is left, and
			when this machine, the agent or the traffic-manager is gone. Agents answer the
			kubelet's HTTP, TCP and gRPC probes; a command of an exec probe runs as before.
			--container says which container it is. It needs the right "create pods/exec".

			With --mode mirror, callers notice nothing: the application answers them, and
			this machine gets a copy of what they send. With --match, that is each HTTP request
			that matches (--match all: each of them); without it, all bytes of each TCP
			connection that begins from then on. What the local program answers is thrown away,
			and what it does not take in time is dropped and counted. A mirror beside an
			intercept of your own needs another --name.

			With --mode ingest, the application keeps its traffic, and this machine gets the
			environment and the volumes of a container, by the flags below. No --port is needed.
			Without any of them, the volumes are mounted.

			With a command after --, the command runs while there is the intercept, in the
			environment of the workload's container: what the image sets, and all that the
			pod's spec says, resolved. --env-file and --env-json write that environment to a
			file. Of this machine stay: ` + intercept.LocalVariables() + `.
			The container's volumes are in the folder that the variable INTERCEPT_ROOT names.
			The command ends when the intercept is left, and the intercept ends with the
			command, whose exit code is passed on. A container's environment is what kubectl
			exec would show, so it needs the same right: "create pods/exec" in the namespace.

			With --docker-run, the local program is a container, which docker, podman or nerdctl runs.
			What follows -- are arguments of "docker run": flags, the image, and a command in it. The
			image is fetched before traffic is taken. The container has the environment of the workload's
			and, at their own paths, copies of its volumes, unless -v mounts something there or
			--mount=false leaves them out. 127.0.0.1:LOCAL leads to the port on which the workload's
			container listens, or to another one with --port LOCAL:CONTAINERPORT:SVCPORT. HOST before
			them is another address of this machine, at which the engine publishes the port. While
			kubectl intercept connect runs, the container reaches the cluster's names and addresses like
			this machine. With --network host its program must listen on LOCAL itself. It ends by Ctrl-C,
			by leave, or by itself, is removed, and its exit code is passed on.`),
		Example: templates.Examples(`
			# Send what arrives at the port "http" of deployment quote to 127.0.0.1:8080
			kubectl intercept add deploy/quote --port 8080:http

			# Two ports, one of them UDP
			kubectl intercept add sts/dns --port 8080:http --port 5353:dns/udp

			# The workload behind a Service
			kubectl intercept add svc/quote --port 8080

			# Only requests that have the header x-user: alice
			kubectl intercept add quote --port 8080 --match x-user=alice

			# Such requests to every workload behind a Service, also to one that comes later
			kubectl intercept add svc/quote --port 8080 --match x-user=alice

			# Only those that OpenTelemetry or a browser marks
			kubectl intercept add quote --port 8080 --match baggage:user=alice
			kubectl intercept add quote --port 8080 --match cookie:user=alice

			# Only those with a header that is made and shown
			kubectl intercept add quote --port 8080 --match auto

			# Copies of all HTTP requests, while the application answers them
			kubectl intercept add quote --port 8080 --mode mirror --match all

			# A queue consumer: the container does nothing while the local program does its work
			kubectl intercept add worker --mode replace -- npm start

			# No traffic: the container's environment and volumes for a program that you start
			kubectl intercept add quote --mode ingest --env-file quote.env

			# Start the program with it, as the container would be started
			kubectl intercept add quote --port 8080 -- npm start

			# Start a container with it; -it are flags of docker run
			kubectl intercept add quote --port 8080 --docker-run -- -it quote:dev

			# Its program listens on port 3000
			kubectl intercept add quote --port 8080:3000:http --docker-run -- quote:dev --verbose

			# The container's environment for a program that an IDE starts
			kubectl intercept add quote --port 8080 --env-file quote.env

			# The program runs in a virtual machine that has this address
			kubectl intercept add quote --port 192.168.122.7:8080:http

			# A URL for others, who see what a browser on this machine would
			kubectl intercept add quote --port 8080 --preview-url`),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.ToOptions(f, cmd, args, streams)
			if err != nil {
				return err
			}
			o.sessions = sessions
			return o.Run(cmd.Context())
		},
	}
	flags.AddFlags(cmd)
	return cmd
}

// AddFlags binds the flags to cmd.
func (f *Flags) AddFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.Flags.AddFlags(fs)
	intercept.CompleteFlags(cmd)
	fs.BoolVar(&f.Wait, "wait", f.Wait, "Wait until traffic arrives here")
	f.Preview.add(fs)
	f.Container.add(fs)
	f.Container.complete(cmd)
	cmdutil.AddDryRunFlag(cmd)
	f.Print.AddFlags(cmd)
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, cmd *cobra.Command, args []string, streams genericiooptions.IOStreams) (*Options, error) {
	if err := f.preview(cmd.Flags()); err != nil {
		return nil, err
	}
	args, command, err := f.command(cmd, args)
	if err != nil {
		return nil, err
	}
	args, handler, err := f.toHandler(cmd, args)
	if err != nil {
		return nil, err
	}
	checked, err := f.Flags.ToOptions(factory, args, len(command) > 0 || handler != nil, streams)
	if err != nil {
		return nil, err
	}
	o := &Options{Options: *checked, Command: command, handler: handler}
	if f.PreviewURL {
		o.preview = &f.Preview
	}
	o.Wait = f.Wait
	if o.DryRun, err = cmdutil.GetDryRunStrategy(cmd); err != nil {
		return nil, err
	}
	o.brief = f.Print.OutputFormat != nil && *f.Print.OutputFormat != ""
	switch {
	case o.Ingest:
		f.Print.NamePrintFlags.Operation = "ingested"
	case o.Replace:
		f.Print.NamePrintFlags.Operation = "replaced"
	}
	cmdutil.PrintFlagsWithDryRunStrategy(f.Print, o.DryRun)
	if o.printer, err = f.Print.ToPrinter(); err != nil {
		return nil, err
	}
	return o, nil
}

// Options are the checked flags.
type Options struct {
	intercept.Options

	// Command is what runs while there is the intercept; nil: the intercept stays.
	Command []string

	preview  *previewFlags // nil: no URL
	handler  *handler      // a container in the place of Command; nil: none
	sessions Sessions
	printer  printers.ResourcePrinter
	brief    bool // -o was given: the object and nothing else
}

// Run makes or changes the intercept.
func (o *Options) Run(ctx context.Context) error {
	if o.preview != nil {
		if err := o.choosePreview(ctx); err != nil {
			return err
		}
	}
	if len(o.Command) > 0 || o.handler != nil {
		return o.during(ctx)
	}
	i, err := o.Make(ctx, o.sessions)
	if err != nil {
		return err
	}
	mountErr := o.Mount(ctx, i)
	if err := o.report(ctx, o.Out, i); err != nil || o.DryRun != cmdutil.DryRunNone {
		return err
	}
	_, err = o.Environment(ctx, i)
	if err = errors.Join(mountErr, err); err != nil {
		return fmt.Errorf("%w; the intercept stays: kubectl intercept leave %s -n %s ends it", err, i.Name, i.Namespace)
	}
	return nil
}
