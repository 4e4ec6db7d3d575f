package proxyserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// Exchanger asks the cluster's name server. Its error is outbound.ErrAway or
// mux.ErrNoCarrier where the cluster cannot be asked.
type Exchanger interface {
	Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error)
}

var (
	// errNoName says that the cluster does not know a name that is its own.
	errNoName = errors.New("no such name in the cluster")
	// errMappings says that mappings lead to each other.
	errMappings = errors.New("the mappings of client.dns lead to each other")
)

// maxMappings is how many mappings may follow each other.
const maxMappings = 8

// destination is what a host that a program named stands for.
type destination struct {
	// host is its name or address after mappings.
	host string
	// addrs are its addresses, IPv4 first; none if the laptop resolves it.
	addrs []netip.Addr
}

// lookup finds what a host stands for.
func (s *Server) lookup(ctx context.Context, host string) (destination, error) {
	if at, ok := s.address(host); ok {
		return at, nil
	}
	config := s.Names(ctx)
	n := names.New(config)
	for range maxMappings {
		r := n.RouteHost(host)
		switch r.Source {
		case names.Mapping:
			if at, ok := s.address(r.Target); ok {
				return at, nil
			}
			host = r.Target
			continue
		case names.Cluster, names.ClusterFirst:
			addrs, err := s.ask(ctx, host, r)
			switch {
			case err == nil:
				return destination{host, addrs}, nil
			case r.Source == names.ClusterFirst && errors.Is(err, errNoName):
			case unasked(err) && s.foreign(config, host):
			default:
				return destination{}, err
			}
		}
		return destination{host: host}, nil
	}
	return destination{}, fmt.Errorf("look up %s: %w", host, errMappings)
}

// address is the destination of a host that is an address.
func (s *Server) address(host string) (destination, bool) {
	a, err := netip.ParseAddr(host)
	switch a = a.Unmap(); {
	case err != nil:
		return destination{}, false
	case s.inside(a):
		return destination{host, []netip.Addr{a}}, true
	}
	return destination{host: host}, true
}

// ask returns the addresses of the first of a route's names that the cluster
// knows. The error is errNoName if there is none.
func (s *Server) ask(ctx context.Context, host string, r names.Route) ([]netip.Addr, error) {
	for _, full := range r.Full {
		addrs, err := s.addresses(ctx, full)
		if err != nil {
			return nil, err
		}
		if len(addrs) > 0 {
			if namespace := namespaceOf(host); r.Source == names.ClusterFirst && namespace != "" {
				s.known.Store(namespace, true)
			}
			return addrs, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", host, errNoName)
}

// addresses asks for A and AAAA at once. One of them is enough.
func (s *Server) addresses(ctx context.Context, full string) ([]netip.Addr, error) {
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	six := make(chan answer, 1)
	go func() {
		addrs, err := s.query(ctx, full, dns.TypeAAAA)
		six <- answer{addrs, err}
	}()
	addrs, err := s.query(ctx, full, dns.TypeA)
	other := <-six
	addrs = append(addrs, other.addrs...)
	if err == nil {
		err = other.err
	}
	if len(addrs) > 0 {
		err = nil
	}
	return addrs, err
}

func (s *Server) query(ctx context.Context, full string, qtype uint16) ([]netip.Addr, error) {
	q := new(dns.Msg)
	q.SetQuestion(full, qtype)
	m, err := s.DNS.Exchange(ctx, q)
	if err != nil {
		return nil, err
	}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("look up %s: the cluster's name server says %s", full, dns.RcodeToString[m.Rcode])
	}
	var addrs []netip.Addr
	for _, rr := range m.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs, nil
}

// foreign says that a host is taken for one of the world outside while the cluster
// cannot be asked. A namespace in which the cluster knew a name stays one.
func (s *Server) foreign(c names.Config, host string) bool {
	c.Namespaces = slices.Clone(c.Namespaces)
	s.known.Range(func(namespace, _ any) bool {
		c.Namespaces = append(c.Namespaces, namespace.(string))
		return true
	})
	return names.New(c).Foreign(host)
}

// namespaceOf is the last label of a short name; "" if it has but one.
func namespaceOf(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if i := strings.LastIndexByte(host, '.'); i >= 0 {
		return host[i+1:]
	}
	return ""
}

// unasked says that the cluster could not be asked.
func unasked(err error) bool {
	return errors.Is(err, outbound.ErrAway) || errors.Is(err, mux.ErrNoCarrier)
}
