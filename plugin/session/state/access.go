package state

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// Standing wants access until disconnect. Every other name in a list By is that
// of a command, which wants it until it ends.
const Standing = ""

// Device is a TUN, and what is wanted behind it besides the cluster.
type Device struct {
	// Socket is where whoever makes the TUN listens (netd/handover).
	Socket    string `json:"socket"`
	Namespace string `json:"namespace"`
	// Also and Never are networks that lead into the cluster, or do not;
	// Allowed may be taken from the laptop's other routes.
	Also    []netip.Prefix `json:"also,omitempty"`
	Never   []netip.Prefix `json:"never,omitempty"`
	Allowed []netip.Prefix `json:"allowed,omitempty"`
	// Virtual is where what clashes appears; the zero Prefix: where there is
	// room.
	Virtual netip.Prefix `json:"virtual,omitzero"`
	// Isolated says that it is one program's, whose whole network it is.
	Isolated bool `json:"isolated,omitempty"`
	// By names those that want it: see Wanted. Under comes back when none of them does
	// any more.
	By    []string `json:"by,omitempty"`
	Under *Device  `json:"under,omitempty"`
}

// Over is what is wanted when d is asked for while before is wanted: before for
// one more, d on top of it for as long as a command runs, or d in its place.
// Before may be nil.
func (d Device) Over(before *Device) Device {
	d.By = Wanted(d.By)
	stays := slices.Contains(d.By, Standing)
	switch {
	case before == nil:
	case d.like(before):
		d.By, d.Under = Join(before.By, d.By), before.Under
		if stays {
			d.Under = d.Under.Without(Standing)
		}
	case !stays:
		d.Under = before
	}
	return d
}

// Without is what is wanted once one of By does no more; nil is nothing.
func (d *Device) Without(by string) *Device {
	if d == nil {
		return nil
	}
	rest := *d
	rest.By, rest.Under = leave(d.By, by), d.Under.Without(by)
	if len(rest.By) == 0 {
		return rest.Under
	}
	return &rest
}

// Replaces says that d takes the place of before, for good or for a while.
func (d *Device) Replaces(before *Device) bool { return before != nil && !d.like(before) }

// like says that both lead to the same, whoever wants or makes them.
func (d *Device) like(o *Device) bool {
	a, b := *d, *o
	a.Socket, a.By, a.Under = "", nil, nil
	b.Socket, b.By, b.Under = "", nil, nil
	return reflect.DeepEqual(a, b)
}

// String says what is behind it.
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

// Proxy is one by which programs on the laptop reach the cluster.
type Proxy struct {
	// Address is its "address:port" on this machine, Namespace that of names
	// without one.
	Address   string `json:"proxy"`
	Namespace string `json:"namespace"`
	// By names those that want it: see Wanted.
	By []string `json:"by,omitempty"`
}

// Release is what is wanted once a command does no more.
func (s *State) Release(by string) {
	if d := s.Device; d != nil {
		s.Device = d.Without(by)
	}
	var rest []Proxy
	for _, p := range s.Proxies {
		if p.By = leave(p.By, by); len(p.By) > 0 {
			rest = append(rest, p)
		}
	}
	s.Proxies = rest
}

// Commands are the names of commands for which there is access.
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

// Wanted is a list By. Whoever says nothing is Standing.
func Wanted(by []string) []string {
	if len(by) == 0 {
		return []string{Standing}
	}
	return by
}

// Join adds those of b to a.
func Join(a, b []string) []string {
	all := slices.Clone(Wanted(a))
	for _, by := range Wanted(b) {
		if !slices.Contains(all, by) {
			all = append(all, by)
		}
	}
	return all
}

func leave(all []string, by string) []string {
	return slices.DeleteFunc(slices.Clone(Wanted(all)), func(s string) bool { return s == by })
}
