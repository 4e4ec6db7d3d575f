package intercept

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// resolve finds the workload and the ports. A mistake is reported at once, and the object
// that is written is unambiguous.
func (m *maker) resolve(ctx context.Context) error {
	find := target.Find
	if m.Match != nil {
		find = target.FindAll
	}
	w, service, err := find(ctx, m.client, m.Namespace, m.Ref)
	if err != nil {
		return err
	}
	var all *target.Listing // where a Service stays one
	if m.Ref.Kind == "Service" && service == "" {
		all = m.warnOfUnseen(ctx)
	}
	if m.Service == "" {
		m.Service = service
	}
	services, err := resolve.Services(ctx, m.client, w)
	if err != nil {
		return err
	}
	if m.resolved, err = resolve.Ports(w, services, m.Service, m.Ports); err != nil {
		return advise(err)
	}
	m.workload = w
	if m.Match != nil {
		if err := m.checkMatch(); err != nil {
			return err
		}
	}
	for n, p := range m.resolved {
		m.Ports[n].Protocol = p.Protocol
		if m.Ports[n].Port == "" {
			m.Ports[n].Port = resolve.Identifier(p)
		}
	}
	m.warnOfDoubts(ctx, all)
	return twice(m.Ports)
}

// Settle finds the type of a workload that was named without one, where no deployment has
// that name, and says which it is.
func (o *Options) Settle(ctx context.Context, r client.Reader) error {
	if !o.Untyped {
		return nil
	}
	ref, err := target.Untyped(ctx, r, o.Namespace, o.Ref.Name)
	if err != nil {
		return err
	}
	o.Untyped = false
	if ref != o.Ref {
		fmt.Fprintf(o.ErrOut, "using %s: there is no deployment %s\n", resolve.RefString(ref), ref.Name)
		o.Ref = ref
	}
	return nil
}

// warnOfUnseen warns if the user may not list every kind of workload: then the Service
// itself is intercepted, although it may have a single workload. It returns the workloads,
// nil if they cannot be listed.
func (m *maker) warnOfUnseen(ctx context.Context) *target.Listing {
	found, err := target.Workloads(ctx, m.client, m.Namespace)
	if err != nil {
		return nil
	}
	if gap := found.Gap(m.Namespace, m.Factory.Serves); gap != "" {
		m.progress.Done()
		render.Warn(m.ErrOut, gap+": what "+resolve.RefString(m.Ref)+" selects is intercepted")
	}
	return found
}

// advise adds to an error about a port or a Service flags that would work.
func advise(err error) error {
	var port *resolve.PortError
	if !errors.As(err, &port) || port.Example == "" {
		return err
	}
	return fmt.Errorf("%w; for example %s", err, port.Example)
}
