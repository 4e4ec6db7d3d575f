package state

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// Standing is the holder of access that lasts until the user disconnects. Every other
// holder is the name of a command, whose access ends with the command.
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
	// Via is the "namespace/name" of an intercept: connections leave from the pod that it
	// stands in for. If it is empty, they leave from the traffic-manager.
	Via string `json:"via,omitempty"`
	// Holders are the commands that need the access, or Standing: see HoldersOrStanding.
	// Covered is the access that this one covers. It is in force again when no holder is
	// left.
	Holders []string `json:"holders,omitempty"`
	Covered *Device  `json:"covered,omitempty"`
}

// Covering returns the access that results when d is requested while before is in force. If
// both give the same access, the result is before with the holders of d added. Otherwise d
// covers before while a command holds d, or replaces before for good if Standing holds d.
// Before may be nil.
func (d Device) Covering(before *Device) Device {
	d.Holders = HoldersOrStanding(d.Holders)
	stays := slices.Contains(d.Holders, Standing)
	switch {
	case before == nil:
	case d.like(before):
		d.Holders, d.Covered = AddHolders(before.Holders, d.Holders), before.Covered
		if stays {
			d.Covered = d.Covered.Without(Standing)
		}
	case !stays:
		d.Covered = before
	}
	return d
}

// Without returns the access that remains when a holder is removed, or nil if none remains.
func (d *Device) Without(holder string) *Device {
	if d == nil {
		return nil
	}
	rest := *d
	rest.Holders, rest.Covered = without(d.Holders, holder), d.Covered.Without(holder)
	if len(rest.Holders) == 0 {
		return rest.Covered
	}
	return &rest
}

// Replaces says that d takes the place of before, for good or for a while, because it gives
// other access. It is false if before is nil.
func (d *Device) Replaces(before *Device) bool { return before != nil && !d.like(before) }

// like says that d and o give the same access. It ignores Socket, Holders and Covered.
func (d *Device) like(o *Device) bool {
	a, b := *d, *o
	a.Socket, a.Holders, a.Covered = "", nil, nil
	b.Socket, b.Holders, b.Covered = "", nil, nil
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
	text += byPod(d.Via)
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
	// Via is that of Device.
	Via string `json:"via,omitempty"`
	// Holders are the commands that need the access, or Standing: see HoldersOrStanding.
	Holders []string `json:"holders,omitempty"`
}

// String describes the access to the user.
func (p Proxy) String() string { return "names as in namespace " + p.Namespace + byPod(p.Via) }

// byPod adds to a description from where connections leave.
func byPod(via string) string {
	if via == "" {
		return ""
	}
	return ", by a pod (intercept " + via + ")"
}

// Release removes a command from the holders of all access, and removes access that has no
// holder left.
func (s *State) Release(holder string) {
	if d := s.Device; d != nil {
		s.Device = d.Without(holder)
	}
	var rest []Proxy
	for _, p := range s.Proxies {
		if p.Holders = without(p.Holders, holder); len(p.Holders) > 0 {
			rest = append(rest, p)
		}
	}
	s.Proxies = rest
}

// Commands returns the names of the commands that hold access or for which there are
// intercepts, sorted.
func (s *State) Commands() []string {
	var all []string
	for _, p := range s.Programs {
		if !p.Access { // such an intercept does not end with a command
			all = append(all, p.Command)
		}
	}
	for _, p := range s.Proxies {
		all = append(all, p.Holders...)
	}
	for d := s.Device; d != nil; d = d.Covered {
		all = append(all, d.Holders...)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(holder string) bool { return holder == Standing })
}

// Via returns the intercepts by whose pods there is access, "namespace/name".
func (s *State) Via() map[string]bool {
	all := map[string]bool{}
	for _, p := range s.Proxies {
		all[p.Via] = true
	}
	for d := s.Device; d != nil; d = d.Covered {
		all[d.Via] = true
	}
	delete(all, "")
	return all
}

// HoldersOrStanding returns the list holders, or the default for an empty one: only Standing.
func HoldersOrStanding(holders []string) []string {
	if len(holders) == 0 {
		return []string{Standing}
	}
	return holders
}

// AddHolders returns the holders in a and those in b, each once.
func AddHolders(a, b []string) []string {
	all := slices.Clone(HoldersOrStanding(a))
	for _, holder := range HoldersOrStanding(b) {
		if !slices.Contains(all, holder) {
			all = append(all, holder)
		}
	}
	return all
}

func without(all []string, holder string) []string {
	return slices.DeleteFunc(slices.Clone(HoldersOrStanding(all)), func(s string) bool { return s == holder })
}
