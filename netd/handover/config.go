package handover

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
)

// Config is the network that a session wants: all of it, each time.
type Config struct {
	// MTU of the TUN, in bytes.
	MTU int `json:"mtu"`
	// Addresses of the TUN. What is in such a prefix, other than the address
	// itself, leads into the TUN, as with any interface.
	Addresses []netip.Prefix `json:"addresses"`
	// Routes lead into the TUN.
	Routes []netip.Prefix `json:"routes"`
	// KeepReachable must not be covered by a route: what the session itself needs to
	// reach, such as the API server. netd adds the default gateways and the
	// resolvers in use.
	KeepReachable []netip.Addr `json:"keepReachable,omitempty"`
	DNS           DNS          `json:"dns"`
	// AllowConflicting are the networks of this machine that routes may take
	// from it: an overlap within one of them is not refused.
	AllowConflicting []netip.Prefix `json:"allowConflicting,omitempty"`
}

// DNS is how this machine finds the cluster's names.
type DNS struct {
	// Server answers at port 53. It is an address that leads into the TUN and
	// not one of the TUN's own, which the kernel would answer itself. The zero
	// Addr leaves this machine's DNS alone.
	Server netip.Addr `json:"server"`
	// Search is the search list for names that are not complete.
	Search []string `json:"search,omitempty"`
	// Domains are what Server knows, with everything below them. Where the
	// resolver can tell names apart, it is asked for nothing else.
	Domains []string `json:"domains,omitempty"`
	// Ndots is as in resolv.conf(5); 0 leaves it as it is.
	Ndots int `json:"ndots,omitempty"`
}

// ConfMark begins an /etc/resolv.conf that leads to a cluster.
const ConfMark = "# kubectl-intercept "

// The two ways to change this machine's DNS.
const (
	DNSResolved   = "systemd-resolved"
	DNSResolvConf = "resolv.conf"
)

// Network is what netd made.
type Network struct {
	// Interface is the name of the TUN.
	Interface string `json:"interface"`
	// Offload says that packets have a virtio-net header of ten bytes
	// (IFF_VNET_HDR) and may be TCP segments of up to 64 KiB.
	Offload bool `json:"offload"`
	// DNSMode is DNSResolved, DNSResolvConf or another system's name; "" if DNS
	// was left alone.
	DNSMode string `json:"dnsMode,omitempty"`
	// Resolvers are this machine's own, without ours.
	Resolvers []netip.AddrPort `json:"resolvers,omitempty"`
	// Skipped are addresses and routes of IPv6 that a machine without IPv6
	// cannot have.
	Skipped []netip.Prefix `json:"skipped,omitempty"`
	// Packets, where a descriptor cannot be passed, is what the connection for
	// packets says in its first message; it holds once. Client.Open uses it up.
	Packets string `json:"packets,omitempty"`
	// Version is netd's release.
	Version string `json:"version"`
}

const (
	maxPrefixes = 4096
	maxNames    = 256
)

var name = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$`)

// Validate says what is wrong with a Config.
func (c *Config) Validate() error {
	if c.MTU < 1280 || c.MTU > 65535 {
		return fmt.Errorf("mtu %d: must be between 1280 and 65535", c.MTU)
	}
	if len(c.Addresses) == 0 {
		return errors.New("addresses: the TUN needs at least one")
	}
	if n := len(c.Addresses) + len(c.Routes) + len(c.KeepReachable) + len(c.AllowConflicting); n > maxPrefixes {
		return fmt.Errorf("%d addresses and routes are more than %d", n, maxPrefixes)
	}
	for _, p := range c.Addresses {
		if a := p.Addr(); !p.IsValid() || !unicast(a) {
			return fmt.Errorf("address %s: not one that an interface can have", p)
		}
	}
	for _, p := range c.Routes {
		switch {
		case !p.IsValid() || p != p.Masked():
			return fmt.Errorf("route %s: write it as a network, such as %s", p, p.Masked())
		case p.Bits() == 0:
			return fmt.Errorf("route %s: everything would go to the cluster; name the cluster's networks", p)
		case !unicast(p.Addr()):
			return fmt.Errorf("route %s: not a network of hosts", p)
		}
	}
	for _, a := range c.KeepReachable {
		if !a.IsValid() {
			return errors.New("keepReachable: an address is empty")
		}
	}
	return c.DNS.validate(c)
}

func (d *DNS) validate(c *Config) error {
	if !d.Server.IsValid() {
		return nil
	}
	leads := false
	for _, p := range c.Addresses {
		if p.Addr() == d.Server {
			return fmt.Errorf("dns server %s: is the TUN's own address; use another one that leads into the TUN", d.Server)
		}
		leads = leads || p.Contains(d.Server)
	}
	for _, p := range c.Routes {
		leads = leads || p.Contains(d.Server)
	}
	if !leads {
		return fmt.Errorf("dns server %s: no route leads to it through the TUN", d.Server)
	}
	if n := len(d.Search) + len(d.Domains); n > maxNames {
		return fmt.Errorf("%d domains are more than %d", n, maxNames)
	}
	for _, names := range [][]string{d.Search, d.Domains} {
		for _, s := range names {
			if len(s) > 253 || !name.MatchString(s) {
				return fmt.Errorf("domain %.64q: not a DNS name", s)
			}
		}
	}
	if d.Ndots < 0 || d.Ndots > 15 {
		return fmt.Errorf("ndots %d: must be between 0 and 15", d.Ndots)
	}
	return nil
}

// unicast says that a host can have the address.
func unicast(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsLoopback() && !a.IsMulticast() && !a.IsUnspecified()
}
