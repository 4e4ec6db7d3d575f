// Package checktest is a cluster and a machine in which every check is
// content, for tests to break.
package checktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/check"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// Names in the world.
const (
	User      = "alice"
	Namespace = "shop"
	Manager   = "intercept-system"
)

// Noon is what the clock says, all the time.
var Noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// World is the cluster, the machine and the Env that looks at them. Change it
// before the checks run.
type World struct {
	*check.Env
	Fake *fake.Clientset
	// Denied is what the user may not: "create pods", "get pods/portforward".
	Denied []string
	// Forged is what becomes of a Session in another's name.
	Forged error
	// Admit is what becomes of an Intercept in the user's own name; nil: it is admitted.
	Admit func(*v1alpha1.Intercept) error
	// Pod is what becomes of a pod with the agent's rights, Warned what the
	// webhook says about one that asks for an agent.
	Pod    error
	Warned []string
	// Manager is the data of the traffic-manager's ConfigMap; nil: not
	// installed. Release is the Helm release in its labels.
	Manager map[string]string
	Release string
	// Intercepts are all that there are, Roles the ClusterRoles of an installation.
	Intercepts []v1alpha1.Intercept
	Roles      []string
	// Definitions are the conditions of the CustomResourceDefinitions.
	Definitions map[string][]metav1.Condition
}

// New returns a World where all is well.
func New() *World {
	until := Noon.AddDate(1, 0, 0)
	w := &World{
		Fake:    fake.NewClientset(objects()...),
		Forged:  Forbidden("sessions.kubectl-intercept.dev", `spec.user must be your own name "alice", not "kubectl-intercept:nobody"`),
		Warned:  []string{"traffic-manager: no traffic-agent is injected: no Service port leads to the pod"},
		Manager: map[string]string{"version": "0.1.0"},
		Definitions: map[string][]metav1.Condition{
			"intercepts.kubectl-intercept.dev": {{Type: "Established", Status: "True"}},
			"sessions.kubectl-intercept.dev":   {{Type: "Established", Status: "True"}},
		},
	}
	w.License(&license.Report{State: license.Valid, Subject: "acme", ValidUntil: &until, Required: true})
	discovery := w.Discovery()
	discovery.FakedServerVersion = &version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.3"}
	discovery.Resources = []*metav1.APIResourceList{
		{GroupVersion: "admissionregistration.k8s.io/v1", APIResources: []metav1.APIResource{
			{Name: "validatingadmissionpolicies"}, {Name: "validatingadmissionpolicybindings"}}},
		{GroupVersion: "kubectl-intercept.dev/v1alpha1", APIResources: []metav1.APIResource{{Name: "intercepts"}, {Name: "sessions"}}},
	}
	w.Fake.PrependReactor("create", "selfsubjectreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		r := &authenticationv1.SelfSubjectReview{}
		r.Status.UserInfo.Username = User
		return true, r, nil
	})
	w.Fake.PrependReactor("create", "selfsubjectaccessreviews", w.review)
	w.Env = &check.Env{
		Server: "https://kubernetes.example", Namespace: Namespace, ManagerNamespace: Manager, Version: "0.1.0",
		Kube: w.Fake, Client: w.client(), TryPod: w.tryPod, Now: func() time.Time { return Noon },
		Reach: func(context.Context) (*check.Reached, error) {
			return &check.Reached{Transport: "service-proxy", Pod: "traffic-manager-1", Version: "0.1.0", RTT: 4 * time.Millisecond}, nil
		},
		Session: func(context.Context) (*session.Status, error) {
			return &session.Status{PID: 4242, Connected: true, Transport: "service-proxy"}, nil
		},
		Direct: func(context.Context) (*check.Reached, error) { return nil, nil },
		Line:   func(context.Context) (time.Duration, error) { return 3 * time.Millisecond, nil },
		Machine: check.Machine{
			LookPath: func(name string) (string, error) { return "/usr/local/bin/" + name, nil },
			Netd: func(context.Context) (string, error) {
				return "intercept-netd 0.1.0 answers on /run/intercept-netd.sock", nil
			},
			SessionsDir: func() (string, error) { return "/home/alice/.cache/kubectl-intercept", nil },
			Executable:  func() (string, error) { return "/usr/local/bin/kubectl-intercept", nil },
			Routes: func() ([]check.Route, error) {
				return []check.Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Via: "eth0"}, {Prefix: netip.MustParsePrefix("192.168.1.0/24"), Via: "eth0"}}, nil
			},
		},
	}
	return w
}

// Discovery is what the API server serves.
func (w *World) Discovery() *fakediscovery.FakeDiscovery {
	return w.Fake.Discovery().(*fakediscovery.FakeDiscovery)
}

// License makes the traffic-manager publish a report; nil: nothing yet.
func (w *World) License(r *license.Report) {
	delete(w.Manager, license.Key)
	if r != nil {
		text, _ := json.Marshal(r)
		w.Manager[license.Key] = string(text)
	}
}

// Deny takes rights from the user: reviews say so and requests are refused.
func (w *World) Deny(what ...string) {
	w.Denied = append(w.Denied, what...)
	for _, d := range what {
		var verb, resource string
		fmt.Sscan(d, &verb, &resource)
		w.Fake.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, Forbidden(resource, fmt.Sprintf("User %q cannot %s resource %q in API group \"\"", User, verb, resource))
		})
	}
}

// AddPod adds a pod that is ready.
func (w *World) AddPod(namespace, name, ip string) {
	err := w.Fake.Tracker().Add(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/name": "traffic-manager"}},
		Status:     corev1.PodStatus{PodIP: ip, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}})
	if err != nil {
		panic(err)
	}
}

// AddManager adds what another traffic-manager says of itself.
func (w *World) AddManager(namespace, namespaces string) {
	err := w.Fake.Tracker().Add(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "traffic-manager", Labels: map[string]string{
			"app.kubernetes.io/name": "traffic-manager", "app.kubernetes.io/part-of": "kubectl-intercept"}},
		Data: map[string]string{"namespaces": namespaces}})
	if err != nil {
		panic(err)
	}
}

// Break makes requests fail.
func (w *World) Break(verb, resource string, err error) {
	w.Fake.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err })
}

// Forbidden is the API server's refusal.
func Forbidden(resource, why string) error { return forbidden(resource, "", why) }

func forbidden(resource, name, why string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, name, errors.New(why))
}

func (w *World) review(a clienttesting.Action) (bool, runtime.Object, error) {
	r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
	s := r.Spec.ResourceAttributes
	what := s.Verb + " " + s.Resource
	if s.Subresource != "" {
		what += "/" + s.Subresource
	}
	r.Status.Allowed = !slices.Contains(w.Denied, what)
	return true, r, nil
}

func (w *World) tryPod(_ context.Context, p *corev1.Pod) (*corev1.Pod, []string, error) {
	if slices.Contains(w.Denied, "create pods") {
		return nil, nil, Forbidden("pods", `User "alice" cannot create resource "pods" in API group "" in the namespace "shop"`)
	}
	if len(p.Spec.Containers) > 1 {
		return p, nil, w.Pod
	}
	return p, w.Warned, nil
}

// client reads the ConfigMap when it is asked for, so that it can be changed
// until then.
func (w *World) client() client.Client {
	scheme, err := kube.Scheme()
	if err != nil {
		panic(err)
	}
	return fakeclient.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(_ context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
			if crd, ok := o.(*unstructured.Unstructured); ok {
				return w.definition(key.Name, crd)
			}
			if _, ok := o.(*corev1.Namespace); ok {
				return nil
			}
			cm, ok := o.(*corev1.ConfigMap)
			switch {
			case !ok || w.Manager == nil || key.Namespace != Manager:
				return apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, key.Name)
			case slices.Contains(w.Denied, "get configmaps"):
				return forbidden("configmaps", key.Name, `User "alice" cannot get resource "configmaps" in API group "" in the namespace "intercept-system"`)
			}
			cm.Namespace, cm.Name, cm.Data = key.Namespace, key.Name, w.Manager
			cm.Labels = map[string]string{"app.kubernetes.io/instance": w.Release}
			return nil
		},
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			switch l := list.(type) {
			case *v1alpha1.InterceptList:
				l.Items = w.Intercepts
			case *metav1.PartialObjectMetadataList:
				for _, name := range w.Roles {
					if l.Kind == "ClusterRoleList" {
						l.Items = append(l.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name,
							Labels: map[string]string{"kubectl-intercept.dev/manager-namespace": Manager}}})
					}
				}
			}
			return nil
		},
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			var all client.CreateOptions
			all.ApplyOptions(opts)
			switch o := o.(type) {
			case *v1alpha1.Session:
				if len(all.DryRun) > 0 {
					return w.Forged
				}
			case *v1alpha1.Intercept:
				if len(all.DryRun) > 0 && w.Admit != nil {
					return w.Admit(o)
				}
				if len(all.DryRun) > 0 {
					return nil
				}
			}
			return fmt.Errorf("a check creates a %T", o)
		},
	}).Build()
}

func (w *World) definition(name string, crd *unstructured.Unstructured) error {
	resource := schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}
	if slices.Contains(w.Denied, "get customresourcedefinitions") {
		return apierrors.NewForbidden(resource, name, errors.New(`user "alice" cannot get resource`))
	}
	conditions, ok := w.Definitions[name]
	if !ok {
		return apierrors.NewNotFound(resource, name)
	}
	list := []any{}
	for _, c := range conditions {
		list = append(list, map[string]any{"type": c.Type, "status": string(c.Status), "message": c.Message})
	}
	return unstructured.SetNestedSlice(crd.Object, list, "status", "conditions")
}

func objects() []runtime.Object {
	out := []runtime.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: Manager, Name: "traffic-manager"},
			Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](2)}, Status: appsv1.DeploymentStatus{ReadyReplicas: 2}},
		&networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.244.1.0/24"}}},
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "traffic-manager-intercept-system"},
			Webhooks: []admissionv1.MutatingWebhook{{Name: "inject.kubectl-intercept.dev",
				ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: Manager, Name: "traffic-manager"}},
				Rules:        []admissionv1.RuleWithOperations{{Rule: admissionv1.Rule{Resources: []string{"pods"}}}}}}},
	}
	for _, which := range []string{"owner", "intercepts", "stand-ins", "sessions", "manager"} {
		name := metav1.ObjectMeta{Name: "traffic-manager-intercept-system-" + which}
		out = append(out, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: name}, &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: name})
	}
	return out
}
