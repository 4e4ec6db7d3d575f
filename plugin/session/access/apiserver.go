package access

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
)

// apiServer knows the addresses of the API server, and of a proxy in front of it: routes
// into the cluster must not cover them. It is safe for concurrent use.
type apiServer struct {
	config func() *rest.Config
	log    *slog.Logger

	byName sync.Map                     // host → []netip.Addr of its last answer
	last   atomic.Pointer[[]netip.Addr] // of all hosts
}

// hosts are the API server, and a proxy in front of it.
func (s *apiServer) hosts() []string {
	cfg := s.config()
	u, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil
	}
	list := []string{u.Hostname()}
	if via, err := carrier.ProxyOf(cfg)(&http.Request{URL: u}); err == nil && via != nil {
		list = append(list, via.Hostname())
	}
	return list
}

// hostNames are those hosts that are not addresses.
func hostNames(hosts []string) (list []string) {
	for _, h := range hosts {
		if _, err := netip.ParseAddr(h); err != nil {
			list = append(list, h)
		}
	}
	return list
}

// lookup returns the addresses of the hosts.
func (s *apiServer) lookup(ctx context.Context) []netip.Addr {
	var list []netip.Addr
	for _, h := range s.hosts() {
		if a, err := netip.ParseAddr(h); err == nil {
			list = append(list, a.Unmap())
			continue
		}
		list = append(list, s.resolve(ctx, h)...)
	}
	slices.SortFunc(list, netip.Addr.Compare)
	list = slices.Compact(list)
	s.last.Store(&list)
	return list
}

// resolve returns a host's addresses. While no name server answers, it returns those of
// the last answer.
func (s *apiServer) resolve(ctx context.Context, host string) []netip.Addr {
	// While the TUN is there, its name server asks the former resolvers.
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		s.log.Debug("the API server's address is not known", "host", host, "error", err)
		former, _ := s.byName.Load(host)
		list, _ := former.([]netip.Addr)
		return list
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	s.byName.Store(host, found)
	return found
}

// known are the addresses of the last lookup.
func (s *apiServer) known() []netip.Addr {
	if last := s.last.Load(); last != nil {
		return *last
	}
	return nil
}

// forget has known return nothing until the next lookup.
func (s *apiServer) forget() { s.last.Store(nil) }
