package local

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

const (
	// readTimeout bounds reading one Intercept.
	readTimeout = 5 * time.Second
	// refollow is the pause after a refusal to watch.
	refollow = 15 * time.Second
)

// entry is one Intercept with its counters. Another Intercept of the same name has another
// entry: neither the counts nor the program are its own.
type entry struct {
	gone chan struct{} // closed when it is dropped

	mu       sync.Mutex
	obj      *v1alpha1.Intercept
	counts   map[endpoint]*counts
	versions map[endpoint]*version
	isolated *isolated // nil if the ports are this machine's
	command  string    // of the state.Program with which the Intercept ends
	toPod    string    // its ports that lead into the pod
	hosts    []string  // of the state.Program
	access   bool      // of the state.Program
}

// endpoint is where a flow goes on this machine.
type endpoint struct {
	host     string
	port     int32
	protocol frame.Protocol
}

// String is "host:port".
func (p endpoint) String() string { return net.JoinHostPort(p.host, strconv.Itoa(int(p.port))) }

type counts struct{ connections, refused, in, out atomic.Int64 }

func newEntry(i *v1alpha1.Intercept) *entry {
	return &entry{obj: i, counts: map[endpoint]*counts{}, versions: map[endpoint]*version{}, gone: make(chan struct{})}
}

// program is the program that has the ports. It is nil if they are this machine's.
func (e *entry) program() *isolated {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.isolated
}

// setProgram notes the program with which the Intercept ends, which may have the ports. It
// returns the latter, and the program before.
func (e *entry) setProgram(p state.Program) (in *isolated, former state.Program) {
	e.mu.Lock()
	defer e.mu.Unlock()
	former = e.programLocked()
	e.command, e.toPod, e.hosts, e.access = p.Command, p.ToPod, p.Hosts, p.Access
	if former.Socket != p.Socket {
		e.isolated, e.versions = nil, map[endpoint]*version{}
		if p.Socket != "" {
			e.isolated = &isolated{socket: p.Socket}
		}
	}
	return e.isolated, former
}

// typed says whether the session may connect to an endpoint: a program of this machine at a
// loopback address, or an address that the user typed here. An object may have come from
// elsewhere, and must not lead the cluster's callers into this machine's networks.
func (e *entry) typed(p endpoint) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.isolated != nil || slices.Contains(e.hosts, p.host) {
		return true
	}
	a, err := netip.ParseAddr(p.host)
	return err == nil && a.Unmap().IsLoopback()
}

// endsWith is the program with which the Intercept ends.
func (e *entry) endsWith() state.Program {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.programLocked()
}

func (e *entry) programLocked() state.Program {
	p := state.Program{Command: e.command, ToPod: e.toPod, Hosts: e.hosts, Access: e.access}
	if e.isolated != nil {
		p.Socket = e.isolated.socket
	}
	return p
}

func (e *entry) object() *v1alpha1.Intercept {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.obj
}

// set notes a change, unless a later one is known: what follows an Intercept hears of older
// changes after a command has had this process read the newest.
func (e *entry) set(i *v1alpha1.Intercept) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i.Generation >= e.obj.Generation {
		e.obj = i
	}
}

func (e *entry) count(p endpoint) *counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.counts[p]
	if c == nil {
		c = &counts{}
		e.counts[p] = c
	}
	return c
}

// where finds the local port of a flow to a pod's port. The numbers in the status are those
// of the pod template. A named target port may have another number in this very pod; if
// the Intercept has a single port, the flow goes there all the same. The status has the ports
// of the spec, in its order, and says late where they lead after a change.
func (e *entry) where(o *frame.Open) (endpoint, bool) {
	i := e.object()
	var ports []endpoint
	for n, p := range i.Status.Ports {
		if protocol(p.Protocol) != o.Protocol {
			continue
		}
		if len(i.Spec.Ports) == len(i.Status.Ports) {
			p.LocalHost, p.LocalPort = i.Spec.Ports[n].LocalHost, i.Spec.Ports[n].LocalPort
		}
		at := endpoint{p.LocalHost, p.LocalPort, o.Protocol}
		if p.ContainerPort == int32(o.Port) {
			return at, true
		}
		ports = append(ports, at)
	}
	if len(i.Status.Ports) == 0 { // not resolved yet, as far as we know
		for _, p := range i.Spec.Ports {
			if protocol(p.Protocol) == o.Protocol {
				ports = append(ports, endpoint{p.LocalHost, p.LocalPort, o.Protocol})
			}
		}
	}
	if len(ports) == 1 {
		return ports[0], true
	}
	return endpoint{}, false
}

// speaksTLS says that the program at an endpoint wants a flow in TLS: its user has said
// so; or the Intercept takes whole connections, of which the agent took this one out of
// TLS for the sake of other Intercepts.
func (e *entry) speaksTLS(p endpoint, o *frame.Open) bool {
	if o.TLS && e.object().Spec.Match == nil {
		return true
	}
	return slices.ContainsFunc(e.object().Spec.Ports, func(o v1alpha1.InterceptPort) bool {
		return o.LocalTLS && (endpoint{o.LocalHost, o.LocalPort, protocol(o.Protocol)}) == p
	})
}

// localProtocol is what the Intercept says of the HTTP of the program at an endpoint.
func (e *entry) localProtocol(p endpoint) v1alpha1.LocalProtocol {
	for _, o := range e.object().Spec.Ports {
		if o.LocalProtocol != "" && (endpoint{o.LocalHost, o.LocalPort, protocol(o.Protocol)}) == p {
			return o.LocalProtocol
		}
	}
	return v1alpha1.LocalProtocolAuto
}

// version is what is known of the HTTP of the program at an endpoint.
func (e *entry) version(p endpoint) *version {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.versions[p]
	if v == nil {
		v = &version{}
		e.versions[p] = v
	}
	return v
}

func protocol(p corev1.Protocol) frame.Protocol {
	if p == corev1.ProtocolUDP {
		return frame.UDP
	}
	return frame.TCP
}

// follow keeps an entry up to date until the Intercept is gone, belongs to another session,
// or has made place for another one of its name.
func (t *Table) follow(key types.NamespacedName, e *entry) {
	for t.ctx.Err() == nil {
		err := target.Follow(t.ctx, t.client, key, func(i *v1alpha1.Intercept) (bool, error) {
			if i == nil || !t.mine(i) {
				return true, nil
			}
			if i.UID != e.object().UID {
				t.put(i)
				return true, nil
			}
			e.set(i)
			return false, nil
		})
		if err == nil {
			t.drop(key, e)
			return
		}
		if errors.Is(err, context.Canceled) {
			return
		}
		// What is known goes on being served: the traffic-manager decides
		// whether flows come.
		t.log.Warn("cannot follow intercept", "intercept", key.String(), "error", err)
		select {
		case <-time.After(refollow):
		case <-t.ctx.Done():
		}
	}
}
