package state

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// Standing is the holder of access that lasts until the user disconnects. Every other
// holder in a list By is the name of a command, whose access ends with the command.
const Standing = ""

// Device is a TUN device and the networks that programs reach through it.
type Device struct {
	// Socket is the unix socket of the process that makes the TUN (netd/handover).
	Socket    string `json:"socket"`
	Namespace string `json:"namespace"`
	// Also are further networks to route into the cluster, Never are networks not to route
	// there. Allowed are networks to route there although the laptop has routes for them.
	Also    []netip.Prefix `json:"also,omitempty"`
	Never   []netip.Prefix `json:"never,omitempty"`
	Allowed []netip.Prefix `json:"allowed,omitempty"`
	// Virtual is the subnet for virtual addresses: they stand for addresses of the cluster
	// that the laptop's network also has. The zero Prefix means that the subnet is chosen
	// automatically.
	Virtual netip.Prefix `json:"virtual,omitzero"`
	// Isolated says that the TUN is the whole network of one isolated program.
	Isolated bool `json:"isolated,omitempty"`
	// By are the holders: see Wanted. Under is the access that this one covers. When By has
	// no holder left, the access Under is in force again.
	By    []string `json:"by,omitempty"`
	Under *Device  `json:"under,omitempty"`
}

// Over returns the access that results when d is requested while before is in force. If
// both give the same access, the result is before with the holders of d added. Otherwise d
// covers before while a command holds d, or replaces before for good if Standing holds d.
// Before may be nil.
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

// Without returns the access that remains when a holder is removed, or nil if none remains.
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

// Replaces says that d takes the place of before, for good or for a while, because it gives
// other access. It is false if before is nil.
func (d *Device) Replaces(before *Device) bool { return before != nil && !d.like(before) }

// like says that d and o give the same access. It ignores Socket, By and Under.
func (d *Device) like(o *Device) bool {
	a, b := *d, *o
	a.Socket, a.By, a.Under = "", nil, nil
	b.Socket, b.By, b.Under = "", nil, nil
	return reflect.DeepEqual(a, b)
}

// String describes the access to the user.
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

// Proxy is a proxy through which programs on the laptop reach the cluster.
type Proxy struct {
	// Address is the "address:port" of the proxy on this machine. Namespace is the
	// namespace of names that do not include one.
	Address   string `json:"proxy"`
	Namespace string `json:"namespace"`
	// By are the holders: see Wanted.
	By []string `json:"by,omitempty"`
}

// Release removes a command from the holders of all access, and removes access that has no
// holder left.
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

// Commands returns the names of the commands that hold access, sorted.
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

// Wanted returns the list by, or the default for an empty one: only Standing.
func Wanted(by []string) []string {
	if len(by) == 0 {
		return []string{Standing}
	}
	return by
}

// AddHolders returns the holders in a and those in b, each once.
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
