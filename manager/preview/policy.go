package preview

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
)

// RefusedError says in one sentence why a preview leads nowhere. The owner of the intercept
// or the operator can change that.
type RefusedError struct{ Reason string }

// Error is the sentence.
func (e *RefusedError) Error() string { return e.Reason }

func refused(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// Policy decides what previews may enter: Services of the cluster, by name, that the
// owner of the intercept may dial from a connected machine too, or that the operator has
// opened. By one that the operator has opened they reach some hosts alone, since the
// ingress leads to the applications of others, too. Everything else that the
// traffic-manager's pod reaches stays closed to a preview: other addresses and names, the
// API server, and the traffic-manager itself.
type Policy struct {
	// Reader reads Services and Sessions.
	Reader client.Reader
	// Reach decides what a user may dial.
	Reach interface {
		Check(context.Context, authz.Subject, netip.AddrPort) error
	}
	// Namespace is the traffic-manager's, which has the Sessions.
	Namespace string
	// Domain is that of preview URLs. ClusterDomain is the cluster's DNS domain.
	Domain, ClusterDomain string
	// Namespaces are those that the traffic-manager works in; none is all.
	Namespaces []string
	// Services are those that all previews may enter, as "NAMESPACE/NAME", for one of Hosts.
	Services []string
	Hosts    *Hosts
}

// Ingress returns the address by which the preview of an Intercept enters the cluster,
// or a RefusedError.
func (p *Policy) Ingress(ctx context.Context, ic *v1alpha1.Intercept) (netip.AddrPort, error) {
	want := ic.Spec.Preview
	l5 := strings.ToLower(gateway.Hostname(want.L5Host))
	if within(l5, p.Domain) {
		return netip.AddrPort{}, refused("the L5 host %s is a preview's own: name the host of the application", want.L5Host)
	}
	key, err := p.service(want.Host, ic.Namespace)
	if err != nil {
		return netip.AddrPort{}, err
	}
	open := slices.Contains(p.Services, key.String())
	to, err := p.address(ctx, key, want, open)
	if err != nil {
		return netip.AddrPort{}, err
	}
	owner, err := p.owner(ctx, ic)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if open {
		if allowed, err := p.Hosts.allow(ctx, ic.Namespace, l5); err != nil || allowed {
			return to, err
		}
	}
	err = p.Reach.Check(ctx, owner, to)
	var denied *authz.DeniedError
	switch {
	case !errors.As(err, &denied):
		return to, err
	case open:
		routed := ""
		if len(p.Hosts.Allowed) == 0 {
			routed = fmt.Sprintf("an Ingress or HTTPRoute in namespace %q that names the host, ", ic.Namespace)
		}
		return netip.AddrPort{}, refused(`user %q may not have a preview ask Service %s for the host %s: that needs %s"create pods/portforward" in namespace %q, or %s in the chart value preview.hosts`,
			owner.User, key, l5, routed, key.Namespace, l5)
	}
	return netip.AddrPort{}, refused(`user %q may not have a preview enter the cluster by Service %s: that needs "create pods/portforward" in namespace %q, or %s in the chart value preview.services`,
		owner.User, key, key.Namespace, key)
}

// service returns the Service that a host names, from within a namespace.
func (p *Policy) service(host, namespace string) (client.ObjectKey, error) {
	name, rest, _ := strings.Cut(host, ".")
	in, rest, _ := strings.Cut(rest, ".")
	switch {
	case rest != "" && rest != "svc" && rest != "svc."+p.ClusterDomain:
		return client.ObjectKey{}, refused("%s is not a Service of the cluster: write NAME.NAMESPACE", host)
	case in == "":
		in = namespace
	}
	if in == p.Namespace || in == "default" && name == "kubernetes" {
		return client.ObjectKey{}, refused("a preview cannot enter by Service %s/%s", in, name)
	}
	if len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, in) {
		return client.ObjectKey{}, refused("a preview cannot enter by Service %s/%s: the traffic-manager does not work in namespace %q (chart value namespaces)", in, name, in)
	}
	return client.ObjectKey{Namespace: in, Name: name}, nil
}

// address returns the address of a Service, whose port must exist. A Service without a
// selector may lead to the API server, say, so the operator must have opened it.
func (p *Policy) address(ctx context.Context, key client.ObjectKey, want *v1alpha1.Preview, open bool) (netip.AddrPort, error) {
	var s corev1.Service
	switch err := p.Reader.Get(ctx, key, &s); {
	case apierrors.IsNotFound(err):
		return netip.AddrPort{}, refused("there is no Service %s", key)
	case err != nil:
		return netip.AddrPort{}, fmt.Errorf("read Service %s: %w", key, err)
	}
	ip, err := netip.ParseAddr(s.Spec.ClusterIP)
	if err != nil || s.Spec.Type == corev1.ServiceTypeExternalName {
		return netip.AddrPort{}, refused("Service %s has no address in the cluster: name one that is neither headless nor of type ExternalName", key)
	}
	if len(s.Spec.Selector) == 0 && !open {
		return netip.AddrPort{}, refused("Service %s has no selector: a preview may enter by it if the chart value preview.services has %s", key, key)
	}
	var ports []string
	for _, port := range s.Spec.Ports {
		if port.Protocol == corev1.ProtocolUDP {
			continue
		}
		if port.Port == want.Port {
			return netip.AddrPortFrom(ip, uint16(want.Port)), nil
		}
		ports = append(ports, fmt.Sprint(port.Port))
	}
	return netip.AddrPort{}, refused("Service %s has no TCP port %d; it has %s", key, want.Port, strings.Join(ports, ", "))
}

// owner returns the user of an Intercept as the API server knew them when it last
// confirmed their session.
func (p *Policy) owner(ctx context.Context, ic *v1alpha1.Intercept) (authz.Subject, error) {
	var s v1alpha1.Session
	err := p.Reader.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: ic.Spec.Session}, &s)
	if apierrors.IsNotFound(err) || err == nil && !s.Serves(ic.Spec.User) {
		return authz.Subject{}, refused("the session of user %q has ended", ic.Spec.User)
	}
	if err != nil {
		return authz.Subject{}, fmt.Errorf("read session: %w", err)
	}
	return authz.SubjectOf(&s), nil
}

// within says whether a host is a domain or below it.
func within(host, domain string) bool {
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}
