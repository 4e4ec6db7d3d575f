package device

import (
	"fmt"
	"net/netip"
	"strings"
)

// Status is what a Device says of itself.
type Status struct {
	Interface string `json:"interface"`
	Namespace string `json:"namespace"`
	// Routes lead into the TUN.
	Routes []netip.Prefix `json:"routes"`
	// Clashing are networks of the cluster which this machine uses otherwise;
	// they appear below Virtual.
	Clashing []netip.Prefix `json:"clashing,omitempty"`
	Virtual  netip.Prefix   `json:"virtual,omitzero"`
	Never    []netip.Prefix `json:"never,omitempty"`
	// DNS is the name server on the TUN, DNSMode how programs come to it.
	DNS     netip.Addr `json:"dns"`
	DNSMode string     `json:"dnsMode"`
	Search  []string   `json:"search"`
	// Resolvers are asked for all other names.
	Resolvers []netip.AddrPort `json:"resolvers,omitempty"`
	// Isolated says that one program has it, and not the whole laptop.
	Isolated bool `json:"isolated,omitempty"`
}

// Status says what there is.
func (d *Device) Status() Status {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := Status{Interface: d.network.Interface, Namespace: d.want.Namespace, Routes: d.plan.Routes, Clashing: d.plan.Clashing, Never: d.want.Never,
		DNS: d.dns, DNSMode: d.network.DNSMode, Search: d.namesFor(&d.want).Search(), Resolvers: d.network.Resolvers, Isolated: d.cfg.Direct != nil}
	if len(s.Clashing) > 0 {
		s.Virtual = d.virtual
	}
	return s
}

// String is a line for people.
func (s *Status) String() string {
	var routes []string
	for _, r := range s.Routes {
		routes = append(routes, r.String())
	}
	return fmt.Sprintf("%s leads to %s; names as in namespace %s", s.Interface, strings.Join(routes, ", "), s.Namespace)
}
