// Package routing is the flags that say which networks a TUN leads into the cluster.
package routing

import (
	"fmt"
	"net/netip"

	"github.com/spf13/pflag"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// Flags say which other networks lead into the cluster, and which of its own do not, as
// they were typed.
type Flags struct {
	Also, Never, Allow []string
	Virtual            string
}

// AddFlags adds the flags.
func (r *Flags) AddFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&r.Also, "also-proxy", nil, "Networks to reach through the cluster besides its own, such as 10.20.0.0/16")
	fs.StringSliceVar(&r.Never, "never-proxy", nil, "Networks of the cluster that this machine reaches otherwise, or not at all")
	fs.StringSliceVar(&r.Allow, "allow-conflicting", nil, "Networks that the cluster may take from this machine's other routes, such as a VPN's")
	fs.StringVar(&r.Virtual, "virtual-subnet", "", "Where the cluster's addresses appear that this machine uses otherwise; by default where there is room")
}

// ToDevice checks the flags and adds them to a TUN.
func (r *Flags) ToDevice(d *state.Device) error {
	for _, list := range []struct {
		flag string
		text []string
		to   *[]netip.Prefix
	}{{"also-proxy", r.Also, &d.Also}, {"never-proxy", r.Never, &d.Never}, {"allow-conflicting", r.Allow, &d.Allowed}} {
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
	d.Virtual = p
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
