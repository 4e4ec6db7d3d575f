package connect

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/routing"
)

// anyPort is where the proxy listens if --proxy has no value.
const anyPort = "127.0.0.1:0"

// viaNone is the value of --via for the network of the traffic-manager.
const viaNone = "none"

// Flags are the command line as it was typed.
type Flags struct {
	Proxy      string
	Via        string
	ToPod      []string
	Transport  string
	Timeout    time.Duration
	Routing    routing.Flags
	PreviewURL bool // as other tools have it
}

func (f *Flags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Proxy, "proxy", "", "Open a proxy at this address of this machine instead of a network interface; without a value, at a free port of 127.0.0.1")
	fs.Lookup("proxy").NoOptDefVal = anyPort
	fs.StringVar(&f.Via, "via", viaNone, "`TYPE/NAME` from one of whose pods connections leave; none: from the traffic-manager")
	fs.StringArrayVar(&f.ToPod, "to-pod", nil, "With --via, `PORT[/UDP]`: port of localhost that leads to the same port of the pod's localhost. Repeatable")
	f.Routing.AddFlags(fs)
	fs.StringVar(&f.Transport, "transport", "auto", "Transport to the traffic-manager: auto, direct, service-proxy or port-forward")
	fs.DurationVar(&f.Timeout, "timeout", f.Timeout, "How long to wait for the connection")
	fs.BoolVar(&f.PreviewURL, "preview-url", false, "")
	_ = fs.MarkHidden("preview-url") // only --preview-url=false, as people are used to type
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions, args []string, dash int) (*Options, error) {
	if len(args) > 0 && dash != 0 {
		return nil, fmt.Errorf("unexpected argument %q; a command goes after --", args[0])
	}
	if f.PreviewURL {
		return nil, errors.New("a preview URL is an intercept's: kubectl intercept add --preview-url makes one")
	}
	a := Access{Proxy: f.Proxy, Transport: f.Transport}
	if f.Proxy != "" {
		host, _, err := net.SplitHostPort(f.Proxy)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("--proxy %q: use an address and port of this machine alone, such as 127.0.0.1:1080", f.Proxy)
		}
	}
	if err := f.Routing.ToDevice(&a.Device); err != nil {
		return nil, err
	}
	if f.Timeout <= 0 {
		return nil, fmt.Errorf("--timeout %s: must be positive", f.Timeout)
	}
	o := &Options{IOStreams: streams, Access: a, Timeout: f.Timeout, Command: args, factory: factory, sessions: sessions}
	var err error
	if o.Access.Device.Namespace, err = factory.Namespace(); err != nil {
		return nil, err
	}
	switch {
	case f.Via != viaNone:
		o.Via, err = intercept.AccessOptions(factory, streams, f.Via, f.ToPod, f.Transport, f.Timeout)
	case len(f.ToPod) > 0:
		err = errors.New("--to-pod leads to a pod: add --via, for example --via deploy/quote")
	}
	return o, err
}
