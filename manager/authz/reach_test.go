package authz

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func service(ns, name string, ips ...string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.ServiceSpec{ClusterIPs: ips}}
}

func pod(ns, name, ip string, phase corev1.PodPhase, hostNetwork bool) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.PodSpec{HostNetwork: hostNetwork},
		Status: corev1.PodStatus{Phase: phase, PodIPs: []corev1.PodIP{{IP: ip}}}}
}

// onHost is a pod that declares a port of its node.
func onHost(ns, name, ip string, port int32) *corev1.Pod {
	p := pod(ns, name, ip, corev1.PodRunning, true)
	p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: port}}}}
	return p
}

// slice gives addresses outside of the cluster to a Service, at a port, or at all.
func slice(ns, name string, port int32, addrs ...string) *discoveryv1.EndpointSlice {
	e := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: addrs}, {Addresses: []string{"10.244.0.9"}, TargetRef: &corev1.ObjectReference{Kind: "Pod"}}}}
	if port != 0 {
		e.Ports = []discoveryv1.EndpointPort{{Port: &port}}
	}
	return e
}

// newReach knows that members of "shop-team" may forward ports in shop.
func newReach(t *testing.T, p Policy) (r *Reach, asked *int) {
	t.Helper()
	asked = new(int)
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).
		WithIndex(&corev1.Service{}, addressField, serviceAddresses).WithIndex(&corev1.Pod{}, addressField, podAddresses).
		WithIndex(&discoveryv1.EndpointSlice{}, addressField, outsideAddresses).
		WithObjects(service("default", "kubernetes", "10.96.0.1"), service("shop", "quote", "10.96.1.1", "fd00::1"),
			service("shop", "headless", "None"), service("bank", "vault", "10.96.2.1"),
			pod("shop", "quote-1", "10.244.0.1", corev1.PodRunning, false),
			pod("bank", "ended", "10.244.0.2", corev1.PodSucceeded, false), pod("shop", "heir", "10.244.0.2", corev1.PodRunning, false),
			pod("shop", "on-node", "192.168.0.1", corev1.PodRunning, true),
			onHost("shop", "exporter", "192.168.0.1", 9100), onHost("bank", "exporter", "192.168.0.1", 9200),
			slice("default", "kubernetes", 6443, "192.168.0.1"), slice("shop", "database", 5432, "172.16.0.5", "fd11::5"),
			slice("bank", "ledger", 5432, "172.16.0.6"), slice("bank", "database", 5432, "172.16.0.5"), slice("blog", "ledger", 0, "172.16.0.6"),
			slice("shop", "thief", 80, "10.96.2.1", "10.244.0.3", "169.254.169.254"), pod("bank", "vault-1", "10.244.0.3", corev1.PodRunning, false),
			pod("shop", "ending", "10.244.0.4", corev1.PodRunning, false), pod("bank", "beginning", "10.244.0.4", corev1.PodRunning, false),
			pod("shop", "ending-2", "10.244.0.5", corev1.PodRunning, false), pod("shop", "beginning", "10.244.0.5", corev1.PodRunning, false),
			slice("shop", "cloud", 80, "168.63.129.16", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"), pod("shop", "by-chance", "100.100.100.200", corev1.PodRunning, false)).
		WithInterceptorFuncs(interceptor.Funcs{Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			*asked++
			sar := o.(*authorizationv1.SubjectAccessReview)
			a := sar.Spec.ResourceAttributes
			if sar.Spec.User == "broken" {
				return errors.New("the API server is away")
			}
			sar.Status.Allowed = a.Namespace == "shop" && a.Verb == "create" && a.Resource == "pods" && a.Subresource == "portforward" &&
				len(sar.Spec.Groups) == 1 && sar.Spec.Groups[0] == "shop-team" && !slices.Contains(sar.Spec.Extra["scopes"], "none")
			return nil
		}}).Build()
	return New(c, c, p), asked
}

func TestCheck(t *testing.T) {
	alice, bob := Subject{User: "alice", Groups: []string{"shop-team"}}, Subject{User: "bob", Groups: []string{"others"}}
	opened := Policy{Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/16"), netip.MustParsePrefix("169.254.7.0/24")}}
	const nobodys = " is not the address of a Service or pod, and the operator has not opened it (client.routing.alsoProxySubnets)"
	missing := func(user, addr, namespace string) string {
		return fmt.Sprintf("user %q may not dial %s: that needs \"create pods/portforward\" in namespace %q", user, addr, namespace)
	}
	for _, c := range []struct {
		name, to string
		who      Subject
		policy   Policy
		denied   string
	}{
		{"service", "10.96.1.1:80", alice, Policy{}, ""},
		{"service, IPv6", "[fd00::1]:80", alice, Policy{}, ""},
		{"service, IPv4 in IPv6", "[::ffff:10.96.1.1]:80", alice, Policy{}, ""},
		{"pod", "10.244.0.1:80", alice, Policy{}, ""},
		{"echo to a pod", "10.244.0.1:0", alice, Policy{}, ""},
		{"address that a pod left to another", "10.244.0.2:80", alice, Policy{}, ""},
		{"another namespace", "10.96.2.1:80", alice, Policy{}, missing("alice", "10.96.2.1", "bank")},
		{"another group", "10.96.1.1:80", bob, Policy{}, missing("bob", "10.96.1.1", "shop")},
		{"API server", "10.96.0.1:443", bob, Policy{}, ""},
		{"API server, its endpoint", "192.168.0.1:6443", bob, Policy{}, ""},
		{"node", "192.168.0.1:10250", alice, Policy{}, "192.168.0.1" + nobodys},
		{"a pod on the node's network", "192.168.0.1:9100", alice, Policy{}, ""},
		{"the same, of another namespace", "192.168.0.1:9200", alice, Policy{}, missing("alice", "192.168.0.1", "bank")},
		{"the same, another user", "192.168.0.1:9100", bob, Policy{}, missing("bob", "192.168.0.1", "shop")},
		{"cloud metadata", "169.254.169.253:80", alice, Policy{}, "169.254.169.253" + nobodys},
		{"cloud metadata, claimed", "169.254.169.254:80", alice, Policy{}, "169.254.169.254" + nobodys},
		{"outside, behind a Service", "172.16.0.5:5432", alice, Policy{}, ""},
		{"the same, IPv6", "[fd11::5]:5432", alice, Policy{}, ""},
		{"the same, an echo", "172.16.0.5:0", alice, Policy{}, ""},
		{"the same, another port", "172.16.0.5:22", alice, Policy{}, "172.16.0.5" + nobodys},
		{"the same, another user", "172.16.0.5:5432", bob, Policy{},
			`user "bob" may not dial 172.16.0.5: that needs "create pods/portforward" in one of the namespaces ["bank" "shop"]`},
		{"outside, without ports", "172.16.0.6:22", alice, Policy{}, missing("alice", "172.16.0.6", "blog")},
		{"a Service of others, claimed", "10.96.2.1:80", alice, Policy{}, missing("alice", "10.96.2.1", "bank")},
		{"a pod of others, claimed", "10.244.0.3:80", alice, Policy{}, missing("alice", "10.244.0.3", "bank")},
		{"an endpoint that was a pod", "10.244.0.9:80", alice, Policy{}, "10.244.0.9" + nobodys},
		{"pods of two namespaces", "10.244.0.4:80", alice, Policy{},
			`user "alice" may not dial 10.244.0.4: that needs "create pods/portforward" in each of the namespaces ["bank" "shop"]`},
		{"two pods of one namespace", "10.244.0.5:80", alice, Policy{}, ""},
		{"metadata of Azure, claimed", "168.63.129.16:80", alice, Policy{}, "168.63.129.16" + nobodys},
		{"metadata of AWS, claimed", "[fd00:ec2::254]:80", alice, Policy{}, "fd00:ec2::254" + nobodys},
		{"metadata by NAT64, claimed", "[64:ff9b::a9fe:a9fe]:80", alice, Policy{}, "64:ff9b::a9fe:a9fe" + nobodys},
		{"all open, metadata by a local NAT64 of 48 bits", "[64:ff9b:1:a9fe:a9:fe00::]:80", bob, Policy{Everything: true}, "64:ff9b:1:a9fe:a9:fe00::" + nobodys},
		{"all open, metadata by a local NAT64 of 56 bits", "[64:ff9b:1:a9:fe:a9fe::]:80", bob, Policy{Everything: true}, "64:ff9b:1:a9:fe:a9fe::" + nobodys},
		{"all open, metadata by a local NAT64 of 64 bits", "[64:ff9b:1:0:a9:fea9:fe00:0]:80", bob, Policy{Everything: true}, "64:ff9b:1:0:a9:fea9:fe00:0" + nobodys},
		{"all open, the internet by a local NAT64", "[64:ff9b:1::808:808]:80", bob, Policy{Everything: true}, ""},
		{"all open, metadata by a local NAT64", "[64:ff9b:1::a9fe:a9fe]:80", bob, Policy{Everything: true}, "64:ff9b:1::a9fe:a9fe" + nobodys},
		{"all open, the traffic-manager by NAT64", "[64:ff9b::7f00:1]:80", bob, Policy{Everything: true}, "64:ff9b::7f00:1" + nobodys},
		{"all open, the internet by NAT64", "[64:ff9b::808:808]:80", bob, Policy{Everything: true}, ""},
		{"all open, metadata of Google Cloud", "[fd20:ce::254]:80", bob, Policy{Everything: true}, "fd20:ce::254" + nobodys},
		{"metadata that is opened", "168.63.129.16:80", bob, Policy{Subnets: []netip.Prefix{netip.MustParsePrefix("168.63.129.16/32")}}, ""},
		{"a pod with the address of Alibaba's", "100.100.100.200:80", alice, Policy{}, ""},
		{"opened", "10.20.0.1:80", bob, opened, ""},
		{"opened, and behind a Service", "172.16.0.6:5432", bob, opened, ""},
		{"opened, but a Service", "10.96.2.1:80", bob, opened, missing("bob", "10.96.2.1", "bank")},
		{"opened, but a pod", "10.244.0.3:80", bob, opened, missing("bob", "10.244.0.3", "bank")},
		{"opened by name only", "169.254.7.1:80", bob, opened, ""},
		{"all open, a pod", "10.244.0.3:80", bob, Policy{Everything: true}, ""},
		{"all open, a node", "192.168.0.1:22", bob, Policy{Everything: true}, ""},
		{"all open, cloud metadata", "169.254.169.253:80", bob, Policy{Everything: true}, "169.254.169.253" + nobodys},
		{"all open, the traffic-manager itself", "127.0.0.1:8080", bob, Policy{Everything: true}, "127.0.0.1" + nobodys},
		{"all open, itself by no address", "0.0.0.0:8080", bob, Policy{Everything: true}, "0.0.0.0" + nobodys},
	} {
		r, _ := newReach(t, c.policy)
		err := r.Check(t.Context(), c.who, netip.MustParseAddrPort(c.to))
		var denied *DeniedError
		switch {
		case c.denied == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.denied != "" && (!errors.As(err, &denied) || err.Error() != c.denied):
			t.Errorf("%s: %v, want %q", c.name, err, c.denied)
		}
	}
}

func TestTrimSlice(t *testing.T) {
	for managedBy, want := range map[string][]string{"": {"172.16.0.5", "10.244.0.9"}, selecting: {"172.16.0.5"}} {
		s := slice("shop", "database", 5432, "172.16.0.5")
		s.Labels[discoveryv1.LabelManagedBy] = managedBy
		o, err := TrimSlice(s)
		e, ok := o.(*discoveryv1.EndpointSlice)
		if err != nil || !ok || len(e.Ports) != 1 {
			t.Fatalf("%+v, %v", o, err)
		}
		var got []string
		for _, p := range e.Endpoints {
			got = append(got, p.Addresses...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("managed by %q: %v, want %v", managedBy, got, want)
		}
	}
}

// TestExtra: what else the API server knows of a user may narrow what the user may do. It is
// that of the Session, or what was confirmed later.
func TestExtra(t *testing.T) {
	r, _ := newReach(t, Policy{})
	s := &v1alpha1.Session{Spec: v1alpha1.SessionSpec{User: "alice", Groups: []string{"shop-team"}}}
	wide := SubjectOf(s)
	s.Spec.Extra = map[string]v1alpha1.ExtraValues{"scopes": {"none"}}
	narrow := SubjectOf(s)
	s.Status.Owner = &v1alpha1.SessionOwner{Groups: []string{"others"}}
	for name, c := range map[string]struct {
		Subject
		allowed bool
	}{"no scopes": {wide, true}, "narrow scopes": {narrow, false}, "confirmed later": {SubjectOf(s), false}} {
		err := r.Check(t.Context(), c.Subject, netip.MustParseAddrPort("10.96.1.1:80"))
		var denied *DeniedError
		if (err == nil) != c.allowed || err != nil && !errors.As(err, &denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if wide.Equal(narrow) || !wide.Equal(SubjectOf(&v1alpha1.Session{Spec: v1alpha1.SessionSpec{User: "alice", Groups: []string{"shop-team"}}})) {
		t.Error("subjects are not told apart by all that is known of them")
	}
}

func TestAnswersAreRememberedForAMinute(t *testing.T) {
	r, asked := newReach(t, Policy{})
	now := time.Now()
	r.now = func() time.Time { return now }
	alice := Subject{User: "alice", Groups: []string{"shop-team"}}
	for range 3 {
		if err := r.Check(t.Context(), alice, netip.MustParseAddrPort("10.96.1.1:80")); err != nil {
			t.Fatal(err)
		}
	}
	if *asked != 1 {
		t.Errorf("asked %d times", *asked)
	}
	now = now.Add(remember)
	if err := r.Check(t.Context(), alice, netip.MustParseAddrPort("10.244.0.1:80")); err != nil || *asked != 2 {
		t.Errorf("asked %d times after a minute, %v", *asked, err)
	}
	if err := r.Check(t.Context(), Subject{User: "broken"}, netip.MustParseAddrPort("10.96.1.1:80")); err == nil {
		t.Error("what cannot be checked is allowed")
	}
}
