package action

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/component"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/config"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

const patience = 90 * time.Second

func client(c plan.Cluster) (*kubernetes.Clientset, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig("admin"))
	if err != nil {
		return nil, err
	}
	rest.QPS = -1
	return kubernetes.NewForConfig(rest)
}

// waitFor polls until ok. It gives up when time is over or the component is
// dead, with the end of the component's log.
func waitFor(ctx context.Context, p component.Component, limit time.Duration, ok func() bool) error {
	start := time.Now()
	for !ok() {
		age := time.Since(start)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case age > limit:
			return fmt.Errorf("%s is not ready after %s; its log, %s, ends with:\n%s", p.Name, limit, p.Log(), p.Tail(10))
		case age > time.Second && p.PID() == 0:
			return fmt.Errorf("%s ended; its log, %s, ends with:\n%s", p.Name, p.Log(), p.Tail(10))
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func apiReady(ctx context.Context, c plan.Cluster) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	api, err := client(c)
	return err == nil && api.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
}

func runtimeReady(ctx context.Context, node space.Space) bool {
	return node.Do(exec.CommandContext(ctx, "ctr", "version").Run) == nil
}

// kubeletReady reports whether the node's kubelet says that it is well. Of one that
// has just died the API server still has a node that is ready.
func kubeletReady(ctx context.Context, node space.Space) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = node.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:10248/healthz", nil)
	if err != nil {
		return false
	}
	answer, err := transport.RoundTrip(q)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// nodeReady reports whether a node is ready, and fills in its pod CIDR, which
// no controller does here because the plan fixes it.
func nodeReady(ctx context.Context, api *kubernetes.Clientset, n plan.Node) bool {
	node, err := api.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil {
		return false
	}
	if node.Spec.PodCIDR == "" {
		patch := fmt.Sprintf(`{"spec":{"podCIDR":%q,"podCIDRs":[%q]}}`, n.Pods, n.Pods)
		if _, err := api.CoreV1().Nodes().Patch(ctx, n.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			return false
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// dnsAnswers asks the cluster's DNS server from inside the node.
func dnsAnswers(ctx context.Context, node space.Space) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
		err = node.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, "udp", net.JoinHostPort(plan.DNSIP, "53"))
			return err
		})
		return conn, err
	}}
	addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+plan.Domain+".")
	if err != nil {
		return err
	}
	if len(addresses) != 1 || addresses[0] != plan.KubernetesIP {
		return fmt.Errorf("cluster DNS says that kubernetes.default is %v", addresses)
	}
	return nil
}

// ready waits for all nodes, then for DNS on all nodes.
func (b *building) ready(ctx context.Context) error {
	api, err := client(b.cluster)
	if err != nil {
		return err
	}
	for i, n := range b.cluster.AllNodes() {
		kubelet := b.component(n, "kubelet")
		if err := waitFor(ctx, kubelet, patience, func() bool { return kubeletReady(ctx, b.nodes[i]) && nodeReady(ctx, api, n) }); err != nil {
			return err
		}
		b.Say("%s is ready", n.Name)
	}
	for _, n := range b.cluster.AllNodes() {
		node, last := b.nodes[n.Number-1], error(nil)
		proxy := b.component(n, "kube-proxy")
		if err := waitFor(ctx, proxy, patience, func() bool { last = dnsAnswers(ctx, node); return last == nil }); err != nil {
			return fmt.Errorf("cluster DNS does not answer on %s: %w; %w", n.Name, last, err)
		}
	}
	return nil
}

// healthy reports whether there is nothing to do.
func (b *building) healthy(ctx context.Context) bool {
	b.nodes = nil
	for _, n := range b.cluster.AllNodes() {
		s, ok := space.Find(b.group, n.Name)
		if !ok {
			return false
		}
		b.nodes = append(b.nodes, s)
		names := config.OnNode()
		if n.Number == 1 {
			names = append(names, config.ControlPlane()...)
		}
		for _, name := range names {
			if b.component(n, name).PID() == 0 {
				return false
			}
		}
	}
	if _, ok := space.Find(b.group, hubName); !ok || !apiReady(ctx, b.cluster) {
		return false
	}
	api, err := client(b.cluster)
	if err != nil {
		return false
	}
	for i, n := range b.cluster.AllNodes() {
		if !kubeletReady(ctx, b.nodes[i]) || !nodeReady(ctx, api, n) || dnsAnswers(ctx, b.nodes[i]) != nil {
			return false
		}
	}
	return true
}
