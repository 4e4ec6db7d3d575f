package entrance

import (
	"log/slog"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/direct"
)

const namespace = "intercept-system"

func node(name string, ready corev1.ConditionStatus, addresses ...corev1.NodeAddress) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Addresses: addresses,
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
}

func TestPublish(t *testing.T) {
	internal := func(a string) corev1.NodeAddress { return corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a} }
	nodes := []client.Object{
		node("a", corev1.ConditionFalse, internal("10.0.0.1")),
		node("b", corev1.ConditionTrue, internal("10.0.0.2"), corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "203.0.113.2"}),
		node("c", corev1.ConditionTrue, internal("fd00::3")), node("d", corev1.ConditionTrue, internal("10.0.0.4")),
	}
	with := func(ingress ...corev1.LoadBalancerIngress) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "traffic-manager-direct"},
			Spec:   corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443, NodePort: 30443}}},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: ingress}}}
	}
	for _, c := range []struct {
		name    string
		access  config.DirectAccess
		service *corev1.Service
		want    string
		fails   bool
	}{
		{"none", config.DirectAccess{}, nil, ``, false},
		{"nodes", config.DirectAccess{Type: "NodePort"}, with(), `{"addresses":["203.0.113.2:30443","10.0.0.2:30443","[fd00::3]:30443"]}`, false},
		{"nodes with a name", config.DirectAccess{Type: "NodePort", Host: "nodes.example.com"}, with(), `{"addresses":["nodes.example.com:30443"]}`, false},
		{"no Service", config.DirectAccess{Type: "NodePort"}, nil, `{"problem":"the traffic-manager cannot find its own address, its log says why"}`, true},
		{"load balancer", config.DirectAccess{Type: "LoadBalancer"}, with(corev1.LoadBalancerIngress{IP: "203.0.113.9"}, corev1.LoadBalancerIngress{Hostname: "lb.example.com"}),
			`{"addresses":["203.0.113.9:443","lb.example.com:443"]}`, false},
		{"load balancer with a name", config.DirectAccess{Type: "LoadBalancer", Host: "direct.example.com"}, with(), `{"addresses":["direct.example.com:443"]}`, false},
		{"load balancer that is being made", config.DirectAccess{Type: "LoadBalancer"}, with(),
			`{"problem":"the Service traffic-manager-direct has no address yet: the cluster has no load balancer for it so far"}`, false},
		{"Ingress", config.DirectAccess{Type: "Ingress", Host: "direct.example.com", Port: 8443}, nil, `{"addresses":["direct.example.com:8443"],"serverName":"direct.example.com"}`, false},
	} {
		objects := append([]client.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "traffic-manager"},
			Data: map[string]string{"version": "1", direct.Key: "of another configuration"}}}, nodes...)
		if c.service != nil {
			objects = append(objects, c.service)
		}
		p := &Publisher{DirectAccess: c.access, Client: fake.NewClientBuilder().WithObjects(objects...).Build(), Namespace: namespace, Name: "traffic-manager", Log: slog.New(slog.DiscardHandler)}
		if err := p.publish(t.Context()); c.fails != (err != nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		var cm corev1.ConfigMap
		if err := p.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "traffic-manager"}, &cm); err != nil {
			t.Fatal(err)
		}
		if got := cm.Data[direct.Key]; got != c.want || cm.Data["version"] != "1" {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if _, err := direct.Parse(cm.Data[direct.Key]); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
