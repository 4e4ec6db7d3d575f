package main

import (
	"fmt"
	"net/http"
	"time"

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
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/claim"
	"github.com/kubectl-intercept/kubectl-intercept/manager/network"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

// connection returns the client configuration for the API server, and the types that
// this program uses there.
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

// clients returns two clients that read from the API server. The second has requests a
// second of its own, for the webhook: pods that are being made do not wait until a busy
// controller has sent its requests.
func clients(cfg *rest.Config, s *runtime.Scheme) (direct, hook client.Client, err error) {
	if direct, err = client.New(cfg, client.Options{Scheme: s}); err != nil {
		return nil, nil, err
	}
	hook, err = client.New(rest.CopyConfig(cfg), client.Options{Scheme: s, Mapper: direct.RESTMapper()})
	return direct, hook, err
}

// newManager makes the controller-runtime manager: the cache, the leader election and
// the health checks.
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
		// A leader that cannot renew its lease ends, and all flows through it do. So an API
		// server without a turn for some seconds must not be taken for one that is away; and
		// another replica leads a while after a leader was killed.
		LeaseDuration: ptr.To(15 * time.Second),
		RenewDeadline: ptr.To(12 * time.Second),
		RetryPeriod:   ptr.To(time.Second),
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

// caches says which namespaces the cache reads: Sessions from the manager's own
// namespace, everything else from the managed ones. It reads pods from both, since
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
