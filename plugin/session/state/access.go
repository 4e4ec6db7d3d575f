package state

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// Standing is the holder of access that stays until disconnect. Every other name in a list
// By is that of a command, which holds access until the command ends.
const Standing = ""

// Device is a TUN, and what is wanted behind it besides the cluster.
type Device struct {
	// Socket is where the maker of the TUN listens (netd/handover).
	Socket    string `json:"socket"`
	Namespace string `json:"namespace"`
	// Also and Never are networks that lead into the cluster, or do not;
	// Allowed may be taken from the laptop's other routes.
	Also    []netip.Prefix `json:"also,omitempty"`
	Never   []netip.Prefix `json:"never,omitempty"`
	Allowed []netip.Prefix `json:"allowed,omitempty"`
	// Virtual is where addresses of the cluster appear that clash with others. The zero
	// Prefix leaves the choice to the machine.
	Virtual netip.Prefix `json:"virtual,omitzero"`
	// Isolated says that the TUN is the whole network of a single program.
	Isolated bool `json:"isolated,omitempty"`
	// By are the holders: see Wanted. Under comes back when there is none any more.
	By    []string `json:"by,omitempty"`
	Under *Device  `json:"under,omitempty"`
}

// Over is what is wanted when d is asked for while before is wanted: before with one more
// holder if both are alike, d over before for as long as a command runs, or d instead of
// before. Before may be nil.
func (d Device) Over(before *Device) Device {
	d.By = Wanted(d.By)
	stays := slices.Contains(d.By, Standing)
	switch {
	case before == nil:
	case d.like(before):
		d.By, d.Under = AddHolders(before.By, d.By), before.Under
		if stays {
			d.Under = d.Under.Without(Standing)
		}
	case !stays:
		d.Under = before
	}
	return d
}

// Without is what is wanted when a holder is gone; nil is nothing.
func (d *Device) Without(by string) *Device {
	if d == nil {
		return nil
	}
	rest := *d
	rest.By, rest.Under = without(d.By, by), d.Under.Without(by)
	if len(rest.By) == 0 {
		return rest.Under
	}
	return &rest
}

// Replaces says that d differs from before, and so replaces it, for good or for a while.
func (d *Device) Replaces(before *Device) bool { return before != nil && !d.like(before) }

// like says that both give the same access, whatever their holders and makers.
func (d *Device) like(o *Device) bool {
	a, b := *d, *o
	a.Socket, a.By, a.Under = "", nil, nil
	b.Socket, b.By, b.Under = "", nil, nil
	return reflect.DeepEqual(a, b)
}

// String describes the access.
func (d *Device) String() string {
	text := "names as in namespace " + d.Namespace
	for _, part := range []struct {
		flag string
		list []netip.Prefix
	}{{"also-proxy", d.Also}, {"never-proxy", d.Never}, {"allow-conflicting", d.Allowed}} {
		if len(part.list) > 0 {
			text += fmt.Sprintf(", --%s %s", part.flag, strings.Trim(fmt.Sprint(part.list), "[]"))
		}
	}
	if d.Virtual.IsValid() {
		text += ", --virtual-subnet " + d.Virtual.String()
	}
	return text
}

// Proxy is a proxy by which programs on the laptop reach the cluster.
type Proxy struct {
	// Address is its "address:port" on this machine, Namespace that of names
	// without one.
	Address   string `json:"proxy"`
	Namespace string `json:"namespace"`
	// By are the holders: see Wanted.
	By []string `json:"by,omitempty"`
}

// Release removes a command from the holders.
func (s *State) Release(by string) {
	if d := s.Device; d != nil {
		s.Device = d.Without(by)
	}
	var rest []Proxy
	for _, p := range s.Proxies {
		if p.By = without(p.By, by); len(p.By) > 0 {
			rest = append(rest, p)
		}
	}
	s.Proxies = rest
}

// Commands are the names of the commands that hold access.
func (s *State) Commands() []string {
	var all []string
	for _, p := range s.Proxies {
		all = append(all, p.By...)
	}
	for d := s.Device; d != nil; d = d.Under {
		all = append(all, d.By...)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(by string) bool { return by == Standing })
}

// Wanted is a list By with its default: an empty list is Standing.
func Wanted(by []string) []string {
	if len(by) == 0 {
		return []string{Standing}
	}
	return by
}

// AddHolders adds the holders in b to a.
func AddHolders(a, b []string) []string {
	all := slices.Clone(Wanted(a))
	for _, by := range Wanted(b) {
		if !slices.Contains(all, by) {
			all = append(all, by)
		}
	}
	return all
}

func without(all []string, by string) []string {
	return slices.DeleteFunc(slices.Clone(Wanted(all)), func(s string) bool { return s == by })
}
