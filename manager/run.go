package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/miekg/dns"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	crlog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/kubectl-intercept/kubectl-intercept/manager/agents"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/claim"
	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
	"github.com/kubectl-intercept/kubectl-intercept/manager/controller"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/mesh"
	"github.com/kubectl-intercept/kubectl-intercept/manager/network"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/server"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/manager/webhook"
)

// run assembles the program and serves until ctx ends.
func run(ctx context.Context, log *slog.Logger, o *options) error {
	crlog.SetLogger(logr.FromSlogHandler(log.Handler()))
	cfg, scheme, err := connection()
	if err != nil {
		return err
	}
	direct, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	authority, service, err := first(ctx, log, o, direct)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	mgr, err := newManager(cfg, scheme, direct.RESTMapper(), o)
	if err != nil {
		return err
	}
	planner := plan.New(mgr.GetClient(), o.namespace)
	if err := watchPlans(ctx, mgr, planner); err != nil {
		return err
	}
	changes := make(chan string, 1024)
	if err := authz.Index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	names, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return fmt.Errorf("find the name server: %w", err)
	}
	cluster := network.New(network.Config{Cache: mgr.GetCache(), Live: direct, Log: log, Domain: domain(names.Search), DNS: servers(names),
		Routing: o.config.Client.Routing, Names: o.config.Client.DNS})
	open, err := config.Subnets(o.config.Client.Routing.AlsoProxySubnets)
	if err != nil {
		return err
	}
	rel, err := relay.New(relay.Config{Log: log, Reader: direct, Planner: planner, Namespace: o.namespace, Pod: o.pod,
		Version: version.Version, OnChange: func(s string) { changes <- s },
		Reach: authz.New(mgr.GetClient(), direct, authz.Policy{Everything: o.config.Client.OpenNetwork, Subnets: open}), NameServer: net.JoinHostPort(names.Servers[0], names.Port), Domain: domain(names.Search)})
	if err != nil {
		return err
	}
	if err := dropEnded(ctx, mgr, rel); err != nil {
		return err
	}
	agentsPort := strconv.Itoa(server.AgentsPort)
	name := fmt.Sprintf("%s.%s.svc", o.service, o.namespace)
	control := agents.New(log, authority, planner, mgr.GetClient(), mgr.GetClient(), direct, name, o.config.Agent.MaxIdleTime.Duration)
	if err := watchReports(ctx, mgr, control); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(handshake.UpgradePath, rel)
	a := o.config.Agent
	agentConfig := func() inject.Config {
		return inject.Config{Image: a.Image, PullPolicy: a.ImagePullPolicy, LogLevel: a.LogLevel,
			Manager: net.JoinHostPort(service.Spec.ClusterIP, agentsPort), ServerName: name, CA: string(authority.Bundle()),
			Resources: a.Resources, InitResources: a.InitResources, PullSecrets: a.ImagePullSecrets}
	}
	policy := webhook.Policy(o.config.AgentInjector.InjectPolicy)
	injector := &webhook.Injector{Cache: mgr.GetClient(), Live: direct, Policy: policy, Agent: agentConfig, Namespaces: o.watch,
		Mesh: mesh.Kind(o.config.ServiceMesh.Type), Exits: mesh.Exits{Ports: []uint16{server.AgentsPort}}, Log: log}
	mux.Handle(webhook.Path, injector.Handler(mgr.GetScheme()))
	runnables := []manager.Runnable{
		control,
		rel,
		cluster,
		&claim.Claim{Client: direct, Namespace: o.namespace, Namespaces: o.watch, Log: log},
		&pki.Keeper{Authority: authority, Client: direct, Namespace: o.namespace, Log: log},
		&controller.Presence{Client: mgr.GetClient(), Reader: direct, Namespace: o.namespace, Connected: rel.Connected,
			Relay: v1alpha1.Relay{Pod: o.pod, Address: net.JoinHostPort(o.ip.String(), agentsPort)}, Changes: changes, Log: log},
		&server.Server{Listen: o.listen, ListenAgents: o.listenAgents, Authority: authority, Names: []string{name}, IPs: []net.IP{o.ip},
			HTTP: mux, Agents: control, Flow: rel.ServeFlow, Line: rel.ServeLine, Lines: rel.Lines(), Log: log},
	}
	var sidecars *mesh.Keeper
	if mesh.Kind(o.config.ServiceMesh.Type) == mesh.Istio {
		sidecars = &mesh.Keeper{Client: direct, Namespace: o.namespace, Managed: o.watch, Log: log}
		runnables = append(runnables, sidecars)
	}
	if o.webhook != "" {
		runnables = append(runnables, &webhook.Bundle{Client: direct, Name: o.webhook, PEM: authority.Bundle, Log: log})
	}
	for _, r := range runnables {
		if err := mgr.Add(r); err != nil {
			return err
		}
	}
	intercepts := &controller.Intercepts{Client: mgr.GetClient(), Namespace: o.namespace, Authority: authority, Log: log,
		Events: mgr.GetEventRecorder("traffic-manager"),
		Live:   direct, Agent: agentConfig, Policy: policy, HasWebhook: o.webhook != "", SchedulingGrace: o.config.AgentInjector.SchedulingGrace.Duration, Mesh: sidecars}
	if err := mgr.Add(&controller.Janitor{Intercepts: intercepts, MaxIdle: o.config.Agent.MaxIdleTime.Duration}); err != nil {
		return err
	}
	err = controller.Setup(mgr, intercepts,
		&controller.Sessions{Client: mgr.GetClient(), Namespace: o.namespace, Network: cluster.Network, Changes: cluster.Changes(), Log: log})
	if err != nil {
		return err
	}
	if err := keepLicense(mgr, direct, log, o); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// connection is how the API server is reached, and what is known of its types.
func connection() (*rest.Config, *runtime.Scheme, error) {
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return nil, nil, err
	}
	cfg.QPS, cfg.Burst = 100, 200
	cfg.UserAgent = "traffic-manager/v" + version.Version
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		return nil, nil, err
	}
	return cfg, s, v1alpha1.AddToScheme(s)
}

func newManager(cfg *rest.Config, s *runtime.Scheme, mapper meta.RESTMapper, o *options) (ctrl.Manager, error) {
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                        s,
		MapperProvider:                func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil },
		Cache:                         caches(o),
		Metrics:                       metricsserver.Options{BindAddress: o.metrics},
		HealthProbeBindAddress:        o.health,
		LeaderElection:                true,
		LeaderElectionID:              claim.Lease,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 ptr.To(8 * time.Second),
		RenewDeadline:                 ptr.To(6 * time.Second),
		RetryPeriod:                   ptr.To(time.Second),
	})
	if err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("cache", func(q *http.Request) error {
		if !mgr.GetCache().WaitForCacheSync(q.Context()) {
			return fmt.Errorf("cache is not filled yet")
		}
		return nil
	})
}

// caches says what is read from where: Sessions from the manager's own
// namespace, everything else from the managed ones, and pods from both, since
// the other replicas are pods too.
func caches(o *options) cache.Options {
	own := map[string]cache.Config{o.namespace: {}}
	c := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.Session{}:          {Namespaces: own},
			&corev1.Node{}:               {Transform: network.TrimNode},
			&discoveryv1.EndpointSlice{}: {Transform: authz.TrimSlice},
			&appsv1.ReplicaSet{}:         {Transform: resolve.TrimReplicaSet},
		},
	}
	if len(o.watch) > 0 {
		c.DefaultNamespaces = map[string]cache.Config{}
		pods := map[string]cache.Config{o.namespace: {}}
		for _, ns := range o.watch {
			c.DefaultNamespaces[ns] = cache.Config{}
			pods[ns] = cache.Config{}
		}
		c.ByObject[&corev1.Pod{}] = cache.ByObject{Namespaces: pods}
	}
	return c
}

// servers are the addresses of the name servers.
func servers(names *dns.ClientConfig) []netip.Addr {
	var list []netip.Addr
	for _, s := range names.Servers {
		if a, err := netip.ParseAddr(s); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// domain is the cluster's, from the search list that the kubelet gives pods.
func domain(search []string) string {
	for _, s := range search {
		if d, ok := strings.CutPrefix(strings.TrimSuffix(s, "."), "svc."); ok {
			return d
		}
	}
	return "cluster.local"
}
