package network

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	fcache "k8s.io/client-go/tools/cache/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// cluster is an API server: a source of events per kind of object. Its cache
// holds each kind as the real one would.
type cluster struct {
	cache.Cache
	t       *testing.T
	ctx     context.Context
	sources map[string]*fcache.FakeControllerSource
	refused map[string]error // by kind, what listing it gives
}

func newCluster(t *testing.T, objects ...client.Object) *cluster {
	c := &cluster{t: t, ctx: t.Context(), sources: map[string]*fcache.FakeControllerSource{}, refused: map[string]error{}}
	for _, o := range objects {
		c.source(o).Add(o)
	}
	return c
}

func (c *cluster) source(o client.Object) *fcache.FakeControllerSource {
	name := kindOf(c.t, o)
	if c.sources[name] == nil {
		c.sources[name] = fcache.NewFakeControllerSource()
	}
	return c.sources[name]
}

func kindOf(t *testing.T, o runtime.Object) string {
	kinds, _, err := clientgoscheme.Scheme.ObjectKinds(o)
	if err != nil {
		t.Fatal(err)
	}
	return kinds[0].String()
}

// GetInformer runs an informer of the kind.
func (c *cluster) GetInformer(_ context.Context, o client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	inf := toolscache.NewSharedIndexInformer(c.source(o), o, 0, toolscache.Indexers{})
	go inf.Run(c.ctx.Done())
	return inf, nil
}

// watch starts a Watcher and returns it with its changes.
func (c *cluster) watch() *Watcher {
	live := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, l client.ObjectList, _ ...client.ListOption) error {
			return c.refused[kindOf(c.t, l)]
		}}).Build()
	w := New(Config{Cache: c, Live: live, Log: slog.New(slog.DiscardHandler), Domain: "cluster.local",
		DNS: []netip.Addr{netip.MustParseAddr("10.96.0.10")}, Routing: v1alpha1.SessionRouting{VirtualSubnet: "198.19.0.0/16"}})
	go w.Start(c.ctx)
	return w
}

// next waits until services and pods are these.
func (c *cluster) next(w *Watcher, services, pods []string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 20*time.Second)
	defer cancel()
	for {
		select {
		case <-w.Changes():
		case <-ctx.Done():
			c.t.Fatalf("network is %+v, want services %v, pods %v", w.Network(), services, pods)
		}
		n := w.Network()
		if slices.Equal(n.ServiceCIDRs, services) && slices.Equal(n.PodCIDRs, pods) {
			if n.ClusterDomain != "cluster.local" || n.DNSAddresses[0] != "10.96.0.10" || n.Routing.VirtualSubnet != "198.19.0.0/16" {
				c.t.Errorf("%+v", n)
			}
			return
		}
	}
}

func node(name string, cidrs ...string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: cidrs}}
}

func pod(name, ip string, hostNetwork bool) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.PodSpec{HostNetwork: hostNetwork},
		Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: ip}}}}
}

func service(name, ip string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.ServiceSpec{ClusterIPs: []string{ip}}}
}

var (
	noKind    = &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "networking.k8s.io", Kind: "ServiceCIDR"}}
	forbidden = apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", nil)
)

func (c *cluster) refuse(err error, lists ...client.ObjectList) {
	for _, l := range lists {
		c.refused[kindOf(c.t, l)] = err
	}
}

func TestDeclared(t *testing.T) {
	c := newCluster(t, node("a", "10.244.0.0/24"), node("b", "10.244.1.0/24"),
		&networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}}},
		service("quote", "10.96.4.4"), service("headless", "None"), pod("quote-1", "10.244.0.7", false), pod("on-node", "192.168.0.1", true))
	w := c.watch()
	c.next(w, []string{"10.96.0.0/16"}, []string{"10.244.0.0/23"})
	// Nodes and ranges come and go.
	c.source(&corev1.Node{}).Add(node("c", "10.244.9.0/24"))
	c.next(w, []string{"10.96.0.0/16"}, []string{"10.244.0.0/23", "10.244.9.0/24"})
	c.source(&corev1.Node{}).Delete(node("b"))
	c.source(&networkingv1.ServiceCIDR{}).Add(&networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "more"},
		Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.112.0.0/24", "fd00:96::/112"}}})
	c.next(w, []string{"10.96.0.0/16", "10.112.0.0/24", "fd00:96::/112"}, []string{"10.244.0.0/24", "10.244.9.0/24"})
	// A pod network of its own.
	c.source(&corev1.Pod{}).Add(pod("stray", "172.20.1.7", false))
	c.next(w, []string{"10.96.0.0/16", "10.112.0.0/24", "fd00:96::/112"}, []string{"10.244.0.0/24", "10.244.9.0/24", "172.20.1.0/24"})
}

// An older cluster has the ServiceCIDR API of before.
func TestDeclaredBeta(t *testing.T) {
	c := newCluster(t, node("a"), service("quote", "10.96.4.4"),
		&networkingv1beta1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1beta1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}}})
	c.refuse(noKind, &networkingv1.ServiceCIDRList{})
	c.next(c.watch(), []string{"10.96.0.0/16"}, nil)
}

// Without the API, or without the right to look at nodes, there are the
// addresses in use.
func TestObserved(t *testing.T) {
	c := newCluster(t, node("a", "10.244.0.0/16"), service("quote", "10.96.4.4"), service("bank", "10.96.5.4"), service("headless", "None"),
		pod("quote-1", "10.244.7.7", false), pod("on-node", "192.168.0.1", true))
	c.refuse(noKind, &networkingv1.ServiceCIDRList{}, &networkingv1beta1.ServiceCIDRList{})
	c.refuse(forbidden, &corev1.NodeList{})
	w := c.watch()
	c.next(w, []string{"10.96.4.0/23"}, []string{"10.244.7.0/24"})
	c.source(&corev1.Pod{}).Delete(pod("quote-1", "10.244.7.7", false)) // it will be back
	c.source(&corev1.Pod{}).Add(pod("quote-2", "fd00:244::7", false))
	c.next(w, []string{"10.96.4.0/23"}, []string{"10.244.7.0/24", "fd00:244::/64"})
}
