package local

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

const (
	// readTimeout bounds reading one Intercept.
	readTimeout = 5 * time.Second
	// refollow is the pause after a refusal to watch.
	refollow = 15 * time.Second
)

// entry is one Intercept with its counters.
type entry struct {
	gone chan struct{} // closed when it is dropped

	mu     sync.Mutex
	obj    *v1alpha1.Intercept
	counts map[place]*counts
	inside *inside // nil: this machine's own ports
}

// place is where a flow goes on this machine.
type place struct {
	host     string
	port     int32
	protocol frame.Protocol
}

// String is "host:port".
func (p place) String() string { return net.JoinHostPort(p.host, strconv.Itoa(int(p.port))) }

type counts struct{ connections, refused, in, out atomic.Int64 }

func newEntry(i *v1alpha1.Intercept) *entry {
	return &entry{obj: i, counts: map[place]*counts{}, gone: make(chan struct{})}
}

// within is where its ports are; nil is this machine.
func (e *entry) within() *inside {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inside
}

// lead notes where its ports are. It returns the socket of where they were.
func (e *entry) lead(socket string) (in *inside, former string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.inside != nil {
		former = e.inside.socket
	}
	if former != socket {
		e.inside = nil
		if socket != "" {
			e.inside = &inside{socket: socket}
		}
	}
	return e.inside, former
}

func (e *entry) object() *v1alpha1.Intercept {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.obj
}

func (e *entry) set(i *v1alpha1.Intercept) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i.UID != e.obj.UID {
		e.counts = map[place]*counts{} // another object of the same name
	}
	e.obj = i
}

func (e *entry) count(p place) *counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.counts[p]
	if c == nil {
		c = &counts{}
		e.counts[p] = c
	}
	return c
}

// where finds the local port of a flow to a pod's port. The numbers in status
// are those of the pod template; a named target port may have another number
// in this very pod, which is no question when there is one port only.
func (e *entry) where(o *frame.Open) (place, bool) {
	i := e.object()
	var ports []place
	for _, p := range i.Status.Ports {
		if protocol(p.Protocol) != o.Protocol {
			continue
		}
		at := place{p.LocalHost, p.LocalPort, o.Protocol}
		if p.ContainerPort == int32(o.Port) {
			return at, true
		}
		ports = append(ports, at)
	}
	if len(i.Status.Ports) == 0 { // not resolved yet, as far as we know
		for _, p := range i.Spec.Ports {
			if protocol(p.Protocol) == o.Protocol {
				ports = append(ports, place{p.LocalHost, p.LocalPort, o.Protocol})
			}
		}
	}
	if len(ports) == 1 {
		return ports[0], true
	}
	return place{}, false
}

func protocol(p corev1.Protocol) frame.Protocol {
	if p == corev1.ProtocolUDP {
		return frame.UDP
	}
	return frame.TCP
}

// follow keeps an entry up to date until the Intercept is gone or no longer
// this session's.
func (t *Table) follow(key types.NamespacedName, e *entry) {
	for t.ctx.Err() == nil {
		err := target.Follow(t.ctx, t.client, key, func(i *v1alpha1.Intercept) (bool, error) {
			if i == nil || !t.mine(i) {
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
