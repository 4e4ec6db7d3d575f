package connect

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// anyPort is where the proxy listens if --proxy has no value.
const anyPort = "127.0.0.1:0"

// Flags are the command line as it was typed.
type Flags struct {
	Proxy     string
	Transport string
	Timeout   time.Duration
	Routing   Routing
}

func (f *Flags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Proxy, "proxy", "", "Open a proxy at this address of this machine instead of a network interface; without a value, at a free port of 127.0.0.1")
	fs.Lookup("proxy").NoOptDefVal = anyPort
	f.Routing.AddFlags(fs)
	fs.StringVar(&f.Transport, "transport", "auto", "Way to the traffic-manager: auto, service-proxy or port-forward")
	fs.DurationVar(&f.Timeout, "timeout", f.Timeout, "How long to wait for the connection")
}

// Routing says what else leads into the cluster, and what does not.
type Routing struct {
	Also, Never, Allow []string
	Virtual            string
}

// AddFlags adds the flags.
func (r *Routing) AddFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&r.Also, "also-proxy", nil, "Networks to reach through the cluster besides its own, such as 10.20.0.0/16")
	fs.StringSliceVar(&r.Never, "never-proxy", nil, "Networks of the cluster that this machine reaches otherwise, or not at all")
	fs.StringSliceVar(&r.Allow, "allow-conflicting", nil, "Networks that the cluster may take from this machine's other routes, such as a VPN's")
	fs.StringVar(&r.Virtual, "virtual-subnet", "", "Where the cluster's addresses appear that this machine uses otherwise; by default where there is room")
}

// ToAccess checks them.
func (r *Routing) ToAccess(a *Access) error {
	for _, list := range []struct {
		flag string
		text []string
		to   *[]netip.Prefix
	}{{"also-proxy", r.Also, &a.Device.Also}, {"never-proxy", r.Never, &a.Device.Never}, {"allow-conflicting", r.Allow, &a.Device.Allowed}} {
		for _, text := range list.text {
			p, err := network(list.flag, text)
			if err != nil {
				return err
			}
			*list.to = append(*list.to, p)
		}
	}
	if r.Virtual == "" {
		return nil
	}
	p, err := network("virtual-subnet", r.Virtual)
	if err != nil {
		return err
	}
	if room := p.Addr().BitLen() - p.Bits(); room < 8 || !p.Addr().Is4() {
		return fmt.Errorf("--virtual-subnet %s: use an IPv4 network of at least 256 addresses, such as 198.18.0.0/16", p)
	}
	a.Device.Virtual = p
	return nil
}

// network reads a network, or one address.
func network(flag, text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("--%s %q: use a network such as 10.20.0.0/16, or an address", flag, text)
	case p.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("--%s %s is every address there is: name a network", flag, p)
	}
	return p.Masked(), nil
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions, args []string, dash int) (*Options, error) {
	if len(args) > 0 && dash != 0 {
		return nil, fmt.Errorf("unexpected argument %q; a command goes after --", args[0])
	}
	a := Access{Proxy: f.Proxy, Transport: f.Transport}
	if f.Proxy != "" {
		host, _, err := net.SplitHostPort(f.Proxy)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("--proxy %q: use an address and port of this machine alone, such as 127.0.0.1:1080", f.Proxy)
		}
	}
	if err := f.Routing.ToAccess(&a); err != nil {
		return nil, err
	}
	if f.Timeout <= 0 {
		return nil, fmt.Errorf("--timeout %s: must be positive", f.Timeout)
	}
	var err error
	a.Device.Namespace, err = factory.Namespace()
	return &Options{IOStreams: streams, Access: a, Timeout: f.Timeout, Command: args, factory: factory, sessions: sessions}, err
}
