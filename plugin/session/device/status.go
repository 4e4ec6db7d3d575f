package device

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

// Leaves says where connections leave from. The zero value is the traffic-manager.
type Leaves struct {
	// Via is the "namespace/name" of the intercept from whose pod they leave, and Pod the
	// "namespace/name" of that pod. Pod is empty while there is none: the former one is gone,
	// and connections wait for the next; or the intercept is gone, and connections fail.
	Via string `json:"via,omitempty"`
	Pod string `json:"pod,omitempty"`
}

// String is for a list of facts; "" if connections leave from the traffic-manager.
func (l Leaves) String() string {
	switch {
	case l.Via == "":
		return ""
	case l.Pod == "":
		return "from no pod at present (intercept " + l.Via + ")"
	}
	return "from pod " + l.Pod
}

// Status is what a Device says of itself.
type Status struct {
	Interface string `json:"interface"`
	Namespace string `json:"namespace"`
	// Routes are the networks that are routed into the TUN.
	Routes []netip.Prefix `json:"routes"`
	// Clashing are networks of the cluster that this machine uses itself. They
	// appear under addresses of Virtual.
	Clashing []netip.Prefix `json:"clashing,omitempty"`
	Virtual  netip.Prefix   `json:"virtual,omitzero"`
	Never    []netip.Prefix `json:"never,omitempty"`
	// DNS is the name server on the TUN, DNSMode how programs find it.
	DNS     netip.Addr `json:"dns"`
	DNSMode string     `json:"dnsMode"`
	Search  []string   `json:"search"`
	// Resolvers are asked for all other names.
	Resolvers []netip.AddrPort `json:"resolvers,omitempty"`
	// Isolated says that one program has it, and not the whole laptop.
	Isolated bool `json:"isolated,omitempty"`
	Leaves
}

// Status says how the device is at present.
func (d *Device) Status() Status {
	l := d.now()
	s := Status{Interface: l.network.Interface, Namespace: l.want.Names.Namespace, Routes: l.plan.Routes, Clashing: l.plan.Clashing, Never: l.want.Never,
		DNS: l.dns(), DNSMode: l.network.DNSMode, Search: names.New(l.want.names()).SearchList(), Resolvers: l.network.Resolvers, Isolated: d.cfg.Direct != nil}
	if len(s.Clashing) > 0 {
		s.Virtual = l.virtual
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
