package handover

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Reason says why a route was refused.
type Reason string

// Only an overlap can be allowed.
const (
	ReasonAPIServer Reason = "api-server" // an address of Config.KeepReachable
	ReasonGateway   Reason = "gateway"    // a default gateway
	ReasonResolver  Reason = "resolver"   // a resolver in use
	ReasonOverlap   Reason = "overlap"    // a route that this machine has
)

// Conflict is a route that would take something away from this machine.
type Conflict struct {
	Reason Reason       `json:"reason"`
	Route  netip.Prefix `json:"route"`
	// With is what it would cover: an address as a prefix of one address, or
	// the other route.
	With netip.Prefix `json:"with"`
	// Device is the interface through which With is reached; may be "".
	Device string `json:"device,omitempty"`
}

// String names the route, what it would cover, and the fix.
func (c Conflict) String() string {
	what := map[Reason]string{ReasonAPIServer: "the API server ", ReasonGateway: "the default gateway ", ReasonResolver: "this machine's DNS server "}[c.Reason]
	if c.Reason == ReasonOverlap {
		through := ""
		if c.Device != "" {
			through = ", which this machine reaches through " + c.Device
		}
		return fmt.Sprintf("route %s would cover %s%s; allow it with --allow-conflicting %s, or move the cluster's addresses with --virtual-subnet",
			c.Route, c.With, through, c.With)
	}
	return fmt.Sprintf("route %s would cover %s%s; leave that out with --never-proxy %s, or move the cluster's addresses with --virtual-subnet",
		c.Route, what, c.With.Addr(), c.With)
}

// RefusedError says that nothing was changed, because of Conflicts, of which
// there is at least one.
type RefusedError struct {
	Reason    Reason // of the first conflict
	Conflicts []Conflict
}

// Refuse returns the error for what conflicts, or nil.
func Refuse(conflicts []Conflict) error {
	if len(conflicts) == 0 {
		return nil
	}
	return &RefusedError{Reason: conflicts[0].Reason, Conflicts: conflicts}
}

func (e *RefusedError) Error() string {
	var lines []string
	for _, c := range e.Conflicts {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

// ErrTaken says that this machine's DNS leads elsewhere. Nothing was changed.
var ErrTaken = errors.New("another session has this machine's DNS, and without systemd-resolved only one can have it")

// VersionError says that the netd that runs speaks another Protocol.
type VersionError struct {
	Protocol int
	Release  string
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("intercept-netd %s speaks version %d, this program %d: run kubectl intercept netd install again, or netd uninstall",
		e.Release, e.Protocol, Protocol)
}
