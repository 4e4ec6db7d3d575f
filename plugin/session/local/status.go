package local

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// Intercept is one of the session's Intercepts, for status.
type Intercept struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Ports     []Port `json:"ports,omitempty"`
}

// Port counts what went to one local port. BytesIn is what callers sent.
type Port struct {
	Local string `json:"local"`
	// Untyped says that the address is not loopback and was not typed on this machine, so that
	// the session does not connect to it.
	Untyped     bool   `json:"untyped,omitempty"`
	Protocol    string `json:"protocol"`
	Connections int64  `json:"connections"`
	Refused     int64  `json:"refused"`
	BytesIn     int64  `json:"bytesIn"`
	BytesOut    int64  `json:"bytesOut"`
}

// Status lists the Intercepts, sorted, with every port that is configured or
// has been used.
func (t *Table) Status() []Intercept {
	var list []Intercept
	for _, key := range t.Keys() {
		t.mu.Lock()
		e := t.entries[key]
		t.mu.Unlock()
		if e != nil {
			list = append(list, e.status())
		}
	}
	return list
}

func (e *entry) status() Intercept {
	i := e.object()
	s := Intercept{Namespace: i.Namespace, Name: i.Name, State: string(cmp.Or(i.Status.State, v1alpha1.StateWaiting))}
	for _, p := range i.Spec.Ports {
		e.count(endpoint{p.LocalHost, p.LocalPort, protocol(p.Protocol)})
	}
	for p, c := range e.counted() {
		s.Ports = append(s.Ports, Port{Local: p.String(), Untyped: !e.typed(p), Protocol: p.protocol.String(), Connections: c.connections.Load(),
			Refused: c.refused.Load(), BytesIn: c.in.Load(), BytesOut: c.out.Load()})
	}
	slices.SortFunc(s.Ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Local, b.Local))
	})
	return s
}

// counted are the ports, each with its counts.
func (e *entry) counted() map[endpoint]*counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.counts)
}

func clientKey(i *v1alpha1.Intercept) types.NamespacedName { return client.ObjectKeyFromObject(i) }

var _ tunnel.Handler = (*Table)(nil).Handle
