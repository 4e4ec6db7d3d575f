// Package add is `kubectl intercept add`: it makes an Intercept, or changes
// one's ports, and waits until traffic of the workload arrives on this
// machine.
package add

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// The values of --mechanism and --mount that say what is done anyway.
const (
	tcp     = "tcp"
	noMount = "false"
)

// Session is this machine's side of intercepts.
type Session struct {
	// User owns it, Name is its Session object's.
	User, Name string
	// Track tells the background process of an intercept to stay alive for. Back
	// leads the intercept's ports where they led before.
	Track func(ctx context.Context, namespace, name string) (back func(context.Context) error, err error)
}

// Sessions brings up the background process that receives the traffic.
type Sessions interface {
	// Ensure returns once the session is connected; progress says meanwhile
	// what happens.
	Ensure(ctx context.Context, f *kube.Factory, transport string, progress func(string)) (*Session, error)
}

// Flags are the command line as it was typed.
type Flags struct {
	Ports           []string
	Service         string
	Workload        string
	Name            string
	Inject          string
	KeepEstablished bool
	NoFallback      bool
	Transport       string
	Wait            bool
	Timeout         time.Duration
	PreviewURL      bool
	Mechanism       string // as other tools have it
	Mount           string // as other tools have it
	Print           *genericclioptions.PrintFlags
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	flags := DefaultFlags()
	cmd := &cobra.Command{
		Use:                   "add (TYPE/NAME | NAME) --port LOCAL[:SVCPORT[/PROTO]]",
		Aliases:               []string{"intercept"},
		DisableFlagsInUseLine: true,
		Short:                 "Send a workload's traffic to this machine",
		Long: templates.LongDesc(`
			Send the traffic of a workload's ports to ports on this machine.

			Every pod of the workload takes part, those that appear later too. No pod is
			restarted, except where the agent can enter as a sidecar only: then pods are
			replaced, one after the other. TYPE is ` + target.Kinds + `; NAME alone means a deployment.
			Adding the same workload again changes its ports.`),
		Example: templates.Examples(`
			# Send what arrives at the port "http" of deployment quote to 127.0.0.1:8080
			kubectl intercept add deploy/quote --port 8080:http

			# Two ports, one of them UDP
			kubectl intercept add sts/dns --port 8080:http --port 5353:dns/udp

			# The workload behind a Service
			kubectl intercept add svc/quote --port 8080`),
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

// DefaultFlags are the flags before any was typed.
func DefaultFlags() Flags {
	return Flags{Inject: string(v1alpha1.InjectAuto), Mechanism: tcp, Mount: noMount, Transport: "auto", Wait: true, Timeout: time.Minute,
		Print: genericclioptions.NewPrintFlags("intercepted")}
}

// AddFlags binds the flags to cmd.
func (f *Flags) AddFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.AddIntercept(fs)
	fs.BoolVar(&f.Wait, "wait", f.Wait, "Wait until traffic arrives here")
	fs.BoolVar(&f.PreviewURL, "preview-url", false, "")
	_ = fs.MarkHidden("preview-url") // only --preview-url=false, as people are used to type
	cmdutil.AddDryRunFlag(cmd)
	f.Print.AddFlags(cmd)
}

// AddIntercept binds those that say what is intercepted and how.
func (f *Flags) AddIntercept(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&f.Ports, "port", "p", nil, "`LOCAL[:SVCPORT[/PROTO]]`: local port, and name or number of the port to intercept. Repeatable")
	fs.StringVar(&f.Service, "service", "", "Which Service to intercept if several select the workload")
	fs.StringVar(&f.Workload, "workload", "", "`TYPE/NAME` of the workload; the argument is then the intercept's name")
	fs.StringVar(&f.Name, "name", "", "Name of the intercept (default: the workload's name)")
	fs.StringVar(&f.Inject, "inject", f.Inject, "How the agent enters the pods: ephemeral (at once), sidecar (pods are replaced), or auto: a sidecar that is there, else ephemeral if the namespace admits it, else sidecar")
	fs.BoolVar(&f.KeepEstablished, "keep-established", false, "Leave connections alone that are open already")
	fs.BoolVar(&f.NoFallback, "no-fallback", false, "Refuse callers while nothing listens on the local port, instead of letting the application answer")
	fs.StringVar(&f.Mechanism, "mechanism", f.Mechanism, "")
	fs.StringVar(&f.Mount, "mount", f.Mount, "")
	fs.Lookup("mount").NoOptDefVal = "true"
	for _, name := range []string{"mechanism", "mount"} { // what people are used to say, where it says nothing here
		_ = fs.MarkHidden(name)
	}
	fs.StringVar(&f.Transport, "transport", f.Transport, "Way to the traffic-manager: auto, service-proxy or port-forward")
	fs.DurationVar(&f.Timeout, "timeout", f.Timeout, "How long to wait. Zero checks once, negative waits for a week")
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, cmd *cobra.Command, args []string, streams genericiooptions.IOStreams) (*Options, error) {
	if cmd.ArgsLenAtDash() >= 0 {
		return nil, errors.New("running a command with an intercept is not there yet: start it in another terminal, or use kubectl intercept run")
	}
	if f.PreviewURL {
		return nil, errors.New("preview URLs are not there yet: use --preview-url=false")
	}
	o, err := f.ToIntercept(factory, args, streams)
	if err != nil {
		return nil, err
	}
	if o.DryRun, err = cmdutil.GetDryRunStrategy(cmd); err != nil {
		return nil, err
	}
	o.brief = f.Print.OutputFormat != nil && *f.Print.OutputFormat != ""
	cmdutil.PrintFlagsWithDryRunStrategy(f.Print, o.DryRun)
	if o.printer, err = f.Print.ToPrinter(); err != nil {
		return nil, err
	}
	return o, nil
}

// ToIntercept checks those that say what is intercepted and how.
func (f *Flags) ToIntercept(factory *kube.Factory, args []string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{IOStreams: streams, factory: factory, Service: f.Service, Name: f.Name,
		KeepEstablished: f.KeepEstablished, NoFallback: f.NoFallback, Inject: v1alpha1.InjectMode(f.Inject),
		Transport: f.Transport, Wait: f.Wait, Timeout: f.Timeout, DryRun: cmdutil.DryRunNone}
	workload, err := f.workload(args)
	if err != nil {
		return nil, err
	}
	if f.Workload != "" && len(args) == 1 {
		o.Name = args[0]
	}
	if o.Ref, err = target.Parse(workload); err != nil {
		return nil, err
	}
	if o.Ports, err = parsePorts(f.Ports); err != nil {
		return nil, err
	}
	if !slices.Contains([]v1alpha1.InjectMode{v1alpha1.InjectAuto, v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar}, o.Inject) {
		return nil, fmt.Errorf("--inject %q: use auto, ephemeral or sidecar", f.Inject)
	}
	if f.Mechanism != tcp {
		return nil, fmt.Errorf("--mechanism %s: not there yet: an intercept takes all connections of a port, which is called %s", f.Mechanism, tcp)
	}
	if f.Mount != noMount {
		return nil, fmt.Errorf("--mount %s: not there yet: the files of a pod are not on this machine; kubectl cp copies some", f.Mount)
	}
	if !slices.Contains([]string{"auto", "service-proxy", "port-forward"}, o.Transport) {
		return nil, fmt.Errorf("--transport %q: use auto, service-proxy or port-forward", f.Transport)
	}
	if o.namespace, err = factory.Namespace(); err != nil {
		return nil, err
	}
	return o, nil
}

// workload is what the arguments name: "TYPE/NAME", "TYPE NAME", "NAME", or
// "NAME --workload TYPE/NAME".
func (f *Flags) workload(args []string) (string, error) {
	switch {
	case f.Workload != "" && len(args) <= 1:
		if len(args) == 1 && f.Name != "" {
			return "", errors.New("the intercept has two names: give either --name or an argument with --workload")
		}
		return f.Workload, nil
	case len(args) == 1:
		return args[0], nil
	case len(args) == 2 && target.IsType(args[0]) && f.Workload == "":
		return args[0] + "/" + args[1], nil
	case len(args) == 0:
		return "", errors.New("which workload? For example kubectl intercept add deploy/quote --port 8080:http")
	}
	return "", fmt.Errorf("one workload at a time, not %q", args)
}
