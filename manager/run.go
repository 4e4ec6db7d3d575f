package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/go-logr/logr"
	"github.com/miekg/dns"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	crlog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	crmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/kubectl-intercept/kubectl-intercept/manager/agents"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
	"github.com/kubectl-intercept/kubectl-intercept/manager/controller"
	"github.com/kubectl-intercept/kubectl-intercept/manager/identity"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/metrics"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/preview"
	"github.com/kubectl-intercept/kubectl-intercept/manager/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
	"github.com/kubectl-intercept/kubectl-intercept/manager/server"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// shared has what the subsystems need. Each subsystem has a constructor among the
// methods of shared, in subsystems.go and injection.go.
type shared struct {
	*options
	log       *slog.Logger
	direct    client.Client // reads from the API server
	hook      client.Client // does so for the webhook, which waits for nobody else's requests
	mgr       ctrl.Manager  // has a client that reads from the cache
	authority *pki.Authority
	// certificate is this replica's.
	certificate *pki.Serving
	planner     *plan.Planner
	budget      *budget.Budget
	injections  *inject.Metrics
	guard       *identity.Guard
	// judged has an event whenever guard sees another state of the admission policies.
	judged chan event.GenericEvent
	names  *dns.ClientConfig // of the pod: the cluster's name servers and domain
	// agentsName is the server name that agents verify; agentsAddress is the address
	// that they dial.
	agentsName, agentsAddress string
}

// run assembles the program and serves until ctx ends.
func run(ctx context.Context, log *slog.Logger, o *options) error {
	s, err := prepare(ctx, log, o)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.assemble(ctx); err != nil {
		return err
	}
	return s.mgr.Start(ctx)
}

// prepare reads what every subsystem needs.
func prepare(ctx context.Context, log *slog.Logger, o *options) (*shared, error) {
	crlog.SetLogger(logr.FromSlogHandler(log.Handler()))
	cfg, scheme, err := connection()
	if err != nil {
		return nil, err
	}
	direct, hook, err := clients(cfg, scheme)
	if err != nil {
		return nil, err
	}
	authority, service, err := first(ctx, log, o, direct)
	if err != nil {
		return nil, err
	}
	mgr, err := newManager(cfg, scheme, direct.RESTMapper(), o)
	if err != nil {
		return nil, err
	}
	names, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("find the name server: %w", err)
	}
	planner := plan.New(mgr.GetClient(), o.namespace, answers(o.config.Intercept))
	planner.Protocols = o.config.Agent.AppProtocolStrategy
	name := handshake.ServerName(o.service, o.namespace)
	bounds := budget.New(log)
	injections, err := inject.NewMetrics(crmetrics.Registry)
	if err != nil {
		return nil, err
	}
	s := &shared{options: o, log: log, direct: direct, hook: hook, budget: bounds, mgr: mgr, authority: authority, names: names,
		planner: planner, injections: injections,
		certificate:   &pki.Serving{Authority: authority, Names: []string{name}, IPs: []net.IP{o.ip}},
		agentsName:    name,
		agentsAddress: net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(server.AgentsPort)),
		judged:        make(chan event.GenericEvent, 1)}
	s.guard = s.newGuard(s.judged)
	return s, nil
}

// answers says what the callers of personal intercepts are told.
func answers(c config.Intercept) plan.Answers {
	a := plan.Answers{ResponseHeader: c.ResponseHeader}
	if c.ExpiredNotifications.Enabled {
		a.Notice = c.ExpiredNotifications.Deadline.Duration
	}
	return a
}

// assemble makes the subsystems and adds them to the manager, which starts them.
func (s *shared) assemble(ctx context.Context) error {
	for _, index := range []func(context.Context, client.FieldIndexer) error{authz.Index, replacement.Index, preview.Index} {
		if err := index(ctx, s.mgr.GetFieldIndexer()); err != nil {
			return err
		}
	}
	if err := watchPlans(ctx, s.mgr, s.planner); err != nil {
		return err
	}
	changes := make(chan string, 1024)
	rel, err := s.newRelay(ctx, changes)
	if err != nil {
		return err
	}
	control, err := s.newAgents(ctx)
	if err != nil {
		return err
	}
	if err := metrics.Register(crmetrics.Registry, metrics.NewBuild(), budget.NewMetrics(s.budget), relay.NewMetrics(rel),
		agents.NewMetrics(control), controller.NewMetrics(s.mgr.GetClient(), s.mgr.Elected())); err != nil {
		return err
	}
	cluster, sidecars := s.newNetwork(), s.newMesh()
	runnables := []manager.Runnable{s.guard, control, rel, cluster, s.newClaim(), s.newAuthorityKeeper(), s.newAuthorityPublisher(), s.newEntrance(), s.newPresence(rel, changes), s.newServer(rel, control)}
	if sidecars != nil {
		runnables = append(runnables, sidecars)
	}
	if s.config.Preview.Enabled {
		previews, err := s.newPreviews(ctx)
		if err != nil {
			return err
		}
		runnables = append(runnables, previews)
	}
	if s.webhook != "" {
		runnables = append(runnables, s.newWebhookBundle())
	}
	for _, r := range runnables {
		if err := s.mgr.Add(r); err != nil {
			return err
		}
	}
	if err := s.setupControllers(cluster, sidecars); err != nil {
		return err
	}
	if err := s.newNamer().Setup(s.mgr); err != nil {
		return err
	}
	return keepLicense(s.mgr, s.direct, s.log, s.options)
}
