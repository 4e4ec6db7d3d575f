package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/kubectl-intercept/kubectl-intercept/manager/agents"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/claim"
	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
	"github.com/kubectl-intercept/kubectl-intercept/manager/controller"
	"github.com/kubectl-intercept/kubectl-intercept/manager/entrance"
	"github.com/kubectl-intercept/kubectl-intercept/manager/identity"
	"github.com/kubectl-intercept/kubectl-intercept/manager/loglevel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/network"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/server"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/manager/webhook"
)

// newRelay makes the relay of sessions and flows. The relay sends the name of every
// Session that connects or disconnects to changes, and drops Sessions whose object is
// deleted.
func (s *shared) newRelay(ctx context.Context, changes chan<- string) (*relay.Relay, error) {
	open, err := config.Subnets(s.config.Client.Routing.AlsoProxySubnets)
	if err != nil {
		return nil, err
	}
	r, err := relay.New(relay.Config{
		Log: s.log, Reader: s.direct, Cache: s.mgr.GetClient(), Budget: s.budget, Planner: s.planner, Certificate: s.certificate.Certificate, Namespace: s.namespace, Pod: s.pod, Version: version.Version,
		OnChange: func(session string) { changes <- session }, Identity: s.guard,
		Reach:      authz.New(s.mgr.GetClient(), s.direct, authz.Policy{Everything: s.config.Client.OpenNetwork, Subnets: open}),
		Replicas:   s.replicas(),
		NameServer: net.JoinHostPort(s.names.Servers[0], s.names.Port), Domain: domain(s.names.Search),
	})
	if err != nil {
		return nil, err
	}
	return r, followSessions(ctx, s.mgr, r)
}

// newGuard makes the part that knows whether Sessions are their users'. It sends an event to
// changes whenever the admission policies come into force or stop to be.
func (s *shared) newGuard(changes chan<- event.GenericEvent) *identity.Guard {
	return &identity.Guard{Client: s.direct, Release: s.policies, Namespace: s.namespace, User: "system:serviceaccount:" + s.namespace + ":" + s.account,
		MaxAge: s.config.Session.MaxAge.Duration, Log: s.log, Changed: func() {
			select {
			case changes <- event.GenericEvent{Object: &v1alpha1.Session{}}:
			default: // one waits already
			}
		}}
}

// newAgents makes the manager's end of the agents' control stream, and the part that lets
// agents and this program log at another level for a while.
func (s *shared) newAgents(ctx context.Context) (*agents.Server, error) {
	a := agents.New(s.log, s.authority, s.planner, s.mgr.GetClient(), s.mgr.GetClient(), s.direct, s.agentsName, s.config.Agent.MaxIdleTime.Duration)
	a.Budget = s.budget
	a.Excluded = s.config.Intercept.Environment.Excluded
	levels := &loglevel.Keeper{Client: s.direct, Namespace: s.namespace, Name: s.service, Log: s.log, Var: s.logs, Own: s.level, Changed: s.planner.Changed}
	a.LogLevel = levels.Agents
	if err := s.mgr.Add(levels); err != nil {
		return nil, err
	}
	return a, watchReports(ctx, s.mgr, a)
}

// newServer makes the server of the TLS ports.
func (s *shared) newServer(rel *relay.Relay, control *agents.Server) *server.Server {
	mux := http.NewServeMux()
	mux.Handle(relay.TrafficPath, s.replicas().Handler(rel))
	mux.Handle(webhook.Path, s.budget.Bounded(s.newInjector().Handler(s.mgr.GetScheme())))
	return &server.Server{Listen: s.listen, ListenAgents: s.listenAgents, ListenDirect: s.listenDirect, Authority: s.authority, Certificate: s.certificate,
		HTTP: mux, Agents: control, Flow: rel.ServeFlow, Line: rel.ServeLine, Sessions: rel.Sessions(), Direct: rel.ServeDirect, Budget: s.budget, Log: s.log}
}

// newNetwork makes the watcher of the cluster's network, which the status of each
// Session describes.
func (s *shared) newNetwork() *network.Watcher {
	return network.New(network.Config{Cache: s.mgr.GetCache(), Live: s.direct, Log: s.log, Domain: domain(s.names.Search), DNS: servers(s.names.Servers),
		Routing: s.config.Client.Routing, Names: s.config.Client.DNS})
}

// replicas asks other replicas, and answers them.
func (s *shared) replicas() *relay.Replicas {
	_, port, _ := net.SplitHostPort(s.listen) // the server says so if it is none
	return &relay.Replicas{Authority: s.authority, ServerName: s.agentsName, Port: port}
}

// newPresence makes the part that writes into the status of a Session that this
// replica is its relay.
func (s *shared) newPresence(rel *relay.Relay, changes <-chan string) *controller.Presence {
	return &controller.Presence{Client: s.mgr.GetClient(), Reader: s.direct, Namespace: s.namespace, Connected: rel.Connected,
		Relay: v1alpha1.Relay{Pod: s.pod, Address: net.JoinHostPort(s.ip.String(), strconv.Itoa(server.AgentsPort))}, Changes: changes, Log: s.log}
}

// newClaim makes the claim, which tells other traffic-managers which namespaces this
// one manages.
func (s *shared) newClaim() *claim.Claim {
	return &claim.Claim{Client: s.direct, Namespace: s.namespace, Namespaces: s.watch, Log: s.log}
}

// newAuthorityKeeper makes the part that rotates the certificate authority.
func (s *shared) newAuthorityKeeper() *pki.Keeper {
	return &pki.Keeper{Authority: s.authority, Client: s.direct, Namespace: s.namespace, Log: s.log}
}

// newAuthorityPublisher makes the part that tells sessions the certificate authority.
func (s *shared) newAuthorityPublisher() *pki.Publisher {
	return &pki.Publisher{Authority: s.authority, Client: s.direct, Namespace: s.namespace, Name: s.service, Log: s.log}
}

// newEntrance makes the part that tells sessions where they reach this program directly.
func (s *shared) newEntrance() *entrance.Publisher {
	return &entrance.Publisher{DirectAccess: s.config.DirectAccess, Client: s.direct, Namespace: s.namespace, Name: s.service, Log: s.log}
}

// servers returns the addresses of the name servers.
func servers(names []string) []netip.Addr {
	var list []netip.Addr
	for _, s := range names {
		if a, err := netip.ParseAddr(s); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// domain returns the cluster's DNS domain, which it finds in the search list that the
// kubelet gives pods.
func domain(search []string) string {
	for _, s := range search {
		if d, ok := strings.CutPrefix(strings.TrimSuffix(s, "."), "svc."); ok {
			return d
		}
	}
	return "cluster.local"
}
