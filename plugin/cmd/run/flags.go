package run

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/routing"
)

// Flags are the command line as it was typed.
type Flags struct {
	Intercept intercept.Flags
	Routing   routing.Flags
	Publish   []string
	Via       string
}

// viaNone is the value of --via for the network of the traffic-manager.
const viaNone = "none"

func (f *Flags) add(fs *pflag.FlagSet) {
	f.Intercept.AddFlags(fs)
	fs.StringArrayVar(&f.Publish, "publish", nil, "`[LOCAL:]PORT`: TCP port of the program that this machine's localhost reaches, there at port LOCAL or the same. Repeatable")
	fs.StringVar(&f.Via, "via", "", "`TYPE/NAME` from one of whose pods the program's connections leave, by default the workload that is named first; none: from the traffic-manager, which needs no right to \"create pods/exec\"")
	f.Routing.AddFlags(fs)
}

// Published is a port of the program on this machine's localhost.
type Published struct{ Local, Port uint16 }

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions, args []string, dash int) (*Options, error) {
	if dash < 0 || dash == len(args) {
		return nil, errors.New("which program? It goes after --, for example kubectl intercept run -- bash")
	}
	if f.Intercept.PreviewURL {
		return nil, errors.New("a preview URL comes with kubectl intercept add --preview-url; kubectl intercept preview NAME shows an intercept to a browser on this machine")
	}
	o := &Options{IOStreams: streams, Command: args[dash:], Transport: f.Intercept.Transport, Timeout: f.Intercept.Timeout,
		factory: factory, sessions: sessions}
	workload, err := f.place(args[:dash])
	if err != nil {
		return nil, err
	}
	switch {
	case len(workload) > 0 || f.Intercept.Workload != "":
		o.Via = f.Intercept.StandIn.Network
		if len(f.Intercept.Ports) == 0 && !f.Intercept.Replaces() {
			o.Intercept, err = f.Intercept.ToIngest(factory, workload, streams)
		} else {
			o.Intercept, err = f.Intercept.ToOptions(factory, workload, true, streams)
		}
		if err != nil {
			return nil, err
		}
		for _, p := range o.Intercept.Ports {
			if a, err := netip.ParseAddr(p.LocalHost); err != nil || !a.IsLoopback() {
				return nil, fmt.Errorf("--port %d: the program has a network of its own, where its ports are at localhost: leave %s out, or use kubectl intercept add",
					p.LocalPort, p.LocalHost)
			}
		}
	case len(f.Intercept.Ports) > 0:
		return nil, errors.New("--port says where a workload's traffic goes: name the workload, for example deploy/quote; for a port that this machine reaches use --publish")
	case f.Intercept.Requests.Given() || f.Intercept.Requests.Mechanism != "":
		return nil, errors.New("--match says which requests of a workload come to the program: name the workload, for example deploy/quote")
	case f.Intercept.Mode != intercept.DefaultFlags().Mode:
		return nil, errors.New("--mode says what the program gets of a workload's traffic: name the workload, for example deploy/quote")
	case f.Intercept.Typed() != "":
		return nil, fmt.Errorf("--%s is about the intercept of a workload: name the workload, for example deploy/quote", f.Intercept.Typed())
	case o.Timeout <= 0:
		return nil, fmt.Errorf("--timeout %s: must be positive", o.Timeout)
	}
	if o.Publish, err = parsePublish(f.Publish); err != nil {
		return nil, err
	}
	if o.Intercept != nil {
		for _, p := range o.Publish {
			o.Intercept.Listens = append(o.Intercept.Listens, int32(p.Port))
		}
	}
	if err := f.Routing.ToDevice(&o.Device); err != nil {
		return nil, err
	}
	if o.Device.Namespace, err = factory.Namespace(); err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(o.Command[0]); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Command[0], err)
	}
	return o, nil
}

// place returns the arguments that name the workload. It is that of --via if they name none,
// and then the program has the pod's network alone.
func (f *Flags) place(args []string) ([]string, error) {
	named := len(args) > 0 || f.Intercept.Workload != ""
	switch {
	case f.Via == viaNone:
	case f.Via == "":
		f.Intercept.StandIn.Network = named
	case named:
		return nil, fmt.Errorf("--via %s: the program has the network of the workload that is intercepted; with --via none, that of the traffic-manager", f.Via)
	case len(f.Intercept.Ports) > 0:
		return nil, errors.New("--port says where a workload's traffic goes: name the workload before --, and leave --via out")
	default:
		f.Intercept.StandIn.Network, f.Intercept.StandIn.NoEnvironment = true, true
		return []string{f.Via}, nil
	}
	return args, nil
}

func parsePublish(list []string) ([]Published, error) {
	var all []Published
	for _, text := range list {
		local, port, two := strings.Cut(text, ":")
		if !two {
			port = local
		}
		l, lerr := strconv.ParseUint(local, 10, 16)
		p, perr := strconv.ParseUint(port, 10, 16)
		if lerr != nil || perr != nil || l == 0 || p == 0 {
			return nil, fmt.Errorf("--publish %q: use PORT or LOCAL:PORT with numbers between 1 and 65535, such as 8080 or 3000:8080", text)
		}
		for _, other := range all {
			if other.Local == uint16(l) {
				return nil, fmt.Errorf("--publish %s: port %d is published already", text, l)
			}
		}
		all = append(all, Published{Local: uint16(l), Port: uint16(p)})
	}
	return all, nil
}
