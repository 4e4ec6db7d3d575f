package intercept

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Flags are those of an intercept, as they were typed: what is intercepted, and how.
type Flags struct {
	Ports           []string
	Service         string
	Workload        string
	Name            string
	Inject          string
	KeepEstablished bool
	NoFallback      bool
	Mode            string
	LocalTLS        bool
	LocalProtocol   string
	Transport       string
	Timeout         time.Duration
	Requests        MatchFlags
	StandIn         StandInFlags
	PreviewURL      bool // for the caller: of run it is what other tools have

	typed *pflag.FlagSet // says which flags were typed; nil: all were
}

// DefaultFlags are the flags before any was typed.
func DefaultFlags() Flags {
	return Flags{StandIn: StandInFlags{Mount: unsaidMount}, Mode: modeIntercept, Inject: string(v1alpha1.InjectAuto), LocalProtocol: string(v1alpha1.LocalProtocolAuto), Transport: "auto", Timeout: time.Minute}
}

// AddFlags binds the flags.
func (f *Flags) AddFlags(fs *pflag.FlagSet) {
	f.typed = fs
	fs.StringArrayVarP(&f.Ports, "port", "p", nil, "`[HOST:]LOCAL[:SVCPORT[/PROTO]]`: local port, and name or number of the port to intercept. HOST is the program's address if that is not localhost: [::1], or that of a container or a virtual machine. Repeatable")
	fs.StringVar(&f.Service, "service", "", "Which Service to intercept if several select the workload")
	fs.StringVar(&f.Workload, "workload", "", "`TYPE/NAME` of the workload; the argument is then the intercept's name")
	fs.StringVar(&f.Name, "name", "", "Name of the intercept (default: the workload's name)")
	fs.StringVar(&f.Mode, "mode", f.Mode, "intercept: the local program answers callers in place of the application. replace: and the application's container is stopped, so that it takes nothing from queues either. mirror: it gets a copy of what they send, its answers are thrown away, and callers notice nothing. ingest: the application keeps its traffic, and this machine gets the container's environment and volumes")
	f.Requests.add(fs)
	f.StandIn.add(fs)
	fs.StringVar(&f.Inject, "inject", f.Inject, "How the agent enters the pods: ephemeral (at once), sidecar (pods are replaced), or auto: a sidecar that is there, else ephemeral if the namespace admits it, else sidecar")
	fs.BoolVar(&f.KeepEstablished, "keep-established", false, "Leave connections alone that are open already")
	fs.BoolVar(&f.NoFallback, "no-fallback", false, "Refuse callers while nothing listens on the local port, instead of letting the application answer")
	fs.BoolVar(&f.LocalTLS, "local-tls", false, "The local program speaks TLS: requests that the agent took out of TLS go to it in TLS. Without the flag it gets clear text")
	fs.StringVar(&f.LocalProtocol, "local-protocol", f.LocalProtocol, "What the local program gets of callers that speak HTTP/2: http1 (HTTP/1.1, without gRPC), http2, or auto: with --match, the program is asked which of both it speaks")
	fs.BoolVar(&f.PreviewURL, "preview-url", false, "")
	_ = fs.MarkHidden("preview-url") // what people are used to say, where it says nothing here
	fs.StringVar(&f.Transport, "transport", f.Transport, "Transport to the traffic-manager: auto, direct, service-proxy or port-forward")
	fs.DurationVar(&f.Timeout, "timeout", f.Timeout, "How long to wait. Zero checks once, negative waits for a week")
}

// Typed is the name of a flag that was typed and says how a workload is intercepted; "" if
// there is none.
func (f *Flags) Typed() string {
	return f.typedOf("service", "name", "inject", "keep-established", "no-fallback", "local-tls", "local-protocol", "mount", "container", "no-env", "to-pod", "env-file", "env-syntax", "env-json")
}

// typedOf is the first of the flags that was typed; "" if none was.
func (f *Flags) typedOf(names ...string) string {
	for _, name := range names {
		if f.typed != nil && f.typed.Changed(name) {
			return name
		}
	}
	return ""
}

// ToOptions checks the flags; it does not speak to the cluster. Command says that the command
// line has one after "--", which comes to the intercept's pod.
func (f *Flags) ToOptions(factory *kube.Factory, args []string, command bool, streams genericiooptions.IOStreams) (*Options, error) {
	if f.Mode == modeIngest {
		return f.toLastingIngest(factory, args, command, streams)
	}
	o := &Options{IOStreams: streams, Factory: factory, Transport: f.Transport, Wait: true, Timeout: f.Timeout, DryRun: cmdutil.DryRunNone,
		Request: Request{Service: f.Service, Name: f.Name, KeepEstablished: f.KeepEstablished, NoFallback: f.NoFallback, Inject: v1alpha1.InjectMode(f.Inject)}}
	if f.typed != nil {
		o.Unsaid = f.Requests.unsaid(f.typed)
	}
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
	o.Untyped = !strings.Contains(workload, "/")
	if o.Replace, err = f.replace(); err != nil {
		return nil, err
	}
	if len(f.Ports) > 0 || !o.Replace {
		if o.Ports, err = parsePorts(f.Ports); err != nil {
			return nil, err
		}
	}
	protocol := v1alpha1.LocalProtocol(f.LocalProtocol)
	if !slices.Contains([]v1alpha1.LocalProtocol{v1alpha1.LocalProtocolAuto, v1alpha1.LocalHTTP1, v1alpha1.LocalHTTP2}, protocol) {
		return nil, fmt.Errorf("--local-protocol %q: use auto, http1 or http2", f.LocalProtocol)
	}
	for n := range o.Ports {
		if o.Ports[n].Protocol == corev1.ProtocolUDP {
			continue
		}
		o.Ports[n].LocalTLS = f.LocalTLS
		if protocol != v1alpha1.LocalProtocolAuto {
			o.Ports[n].LocalProtocol = protocol
		}
	}
	if !slices.Contains([]v1alpha1.InjectMode{v1alpha1.InjectAuto, v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar}, o.Inject) {
		return nil, fmt.Errorf("--inject %q: use auto, ephemeral or sidecar", f.Inject)
	}
	if o.Match, err = f.Requests.ToMatch(); err != nil {
		return nil, err
	}
	if o.Mirror, err = f.mirror(o.Ports); err != nil {
		return nil, err
	}
	if err := carrier.CheckName(o.Transport); err != nil {
		return nil, err
	}
	if err := f.StandIn.apply(o, command); err != nil {
		return nil, err
	}
	if o.Namespace, err = factory.Namespace(); err != nil {
		return nil, err
	}
	return o, nil
}

// Values of --mode.
const (
	modeIntercept = "intercept"
	modeMirror    = "mirror"
	modeIngest    = "ingest"
	modeReplace   = "replace"
)

// CompleteFlags lets shells complete the values of the flags.
func CompleteFlags(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions([]cobra.Completion{
		cobra.CompletionWithDesc(modeIntercept, "the local program answers"),
		cobra.CompletionWithDesc(modeReplace, "the local program answers, and the container is stopped"),
		cobra.CompletionWithDesc(modeMirror, "the local program gets a copy"),
		cobra.CompletionWithDesc(modeIngest, "no traffic: environment and volumes alone"),
	}, cobra.ShellCompDirectiveNoFileComp)) // it fails if there is no such flag
}

// mirror checks --mode, and says whether it is mirror.
func (f *Flags) mirror(ports []v1alpha1.InterceptPort) (bool, error) {
	switch {
	case f.Mode == modeIntercept, f.Mode == modeReplace:
		return false, nil
	case f.Mode != modeMirror:
		return false, fmt.Errorf("--mode %q: use intercept, replace, mirror or ingest", f.Mode)
	case f.NoFallback:
		return false, errors.New("--no-fallback refuses callers, and with --mode mirror the application answers all of them: leave one of the two out")
	case f.PreviewURL:
		return false, errors.New("visitors of --preview-url come to this machine, and with --mode mirror the application answers: leave one of the two out")
	case slices.ContainsFunc(ports, func(p v1alpha1.InterceptPort) bool { return p.Protocol == corev1.ProtocolUDP }):
		return false, errors.New("--mode mirror copies what comes by TCP: leave the UDP port out")
	}
	return true, nil
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
