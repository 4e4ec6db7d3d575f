package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

const release, manager = "traffic-manager-intercept-system", "system:serviceaccount:intercept-system:traffic-manager"

// cluster has the policies of a release, and refuses forged Sessions as these do.
type cluster struct {
	client.Client
	guard    *Guard
	admits   string // "spec.user" or "spec.groups", which are not looked at
	refusal  error  // of any Session, by somebody else
	reads    atomic.Int64
	made     int // Sessions that were no dry run
	installs time.Time
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{admissionv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	c := &cluster{installs: time.Now().Add(-time.Hour).Truncate(time.Second)}
	var objects []client.Object
	for _, which := range policies() {
		m := metav1.ObjectMeta{Name: release + "-" + which, CreationTimestamp: metav1.NewTime(c.installs), Generation: 1}
		policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: m, Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{}}, NamespaceSelector: &metav1.LabelSelector{}},
			Validations:      []admissionv1.Validation{{Expression: "object.spec.user == request.userInfo.username"}}}}
		binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: m, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: m.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}}
		switch which {
		case "manager":
			policy.Spec.MatchConditions = []admissionv1.MatchCondition{{Name: "traffic-manager"}}
		case "sessions":
			binding.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}
		}
		objects = append(objects, policy, binding)
	}
	c.Client = fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, w client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			c.reads.Add(1)
			return w.Get(ctx, key, o, opts...)
		},
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return c.create(o.(*v1alpha1.Session), opts)
		},
	}).Build()
	c.guard = &Guard{Client: c.Client, Release: release, Namespace: "intercept-system", User: manager, MaxAge: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)}
	return c
}

// create judges as the owner policy does.
func (c *cluster) create(s *v1alpha1.Session, opts []client.CreateOption) error {
	var o client.CreateOptions
	o.ApplyOptions(opts)
	if len(o.DryRun) == 0 {
		c.made++
	}
	refuse := func(words string) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: v1alpha1.Group, Resource: "sessions"}, s.Name,
			fmt.Errorf("ValidatingAdmissionPolicy '%s-owner' with binding '%s-owner' denied request: %s", release, release, words))
	}
	switch {
	case c.refusal != nil:
		return c.refusal
	case s.Spec.User != manager && c.admits != "spec.user":
		return refuse(`spec.user must be your own name "` + manager + `", not "` + s.Spec.User + `"`)
	case len(s.Spec.Groups) > 0 && c.admits != "spec.groups":
		return refuse("spec.groups must be your own groups")
	}
	return nil
}

// change writes the policy or the binding with the end of a name.
func change[T any, P interface {
	*T
	client.Object
}](t *testing.T, c *cluster, which string, to func(P)) {
	t.Helper()
	o := P(new(T))
	if err := c.Get(t.Context(), client.ObjectKey{Name: release + "-" + which}, o); err != nil {
		t.Fatal(err)
	}
	to(o)
	if err := c.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

type (
	policy  = admissionv1.ValidatingAdmissionPolicy
	binding = admissionv1.ValidatingAdmissionPolicyBinding
)

// TestInForce: all policies must be there, be bound, deny, and refuse what is forged.
func TestInForce(t *testing.T) {
	ofPolicy := func(which string, to func(*policy)) func(*testing.T, *cluster) {
		return func(t *testing.T, c *cluster) { change(t, c, which, to) }
	}
	ofBinding := func(which string, to func(*binding)) func(*testing.T, *cluster) {
		return func(t *testing.T, c *cluster) { change(t, c, which, to) }
	}
	cases := map[string]struct {
		change func(*testing.T, *cluster)
		want   string // "" is in force
	}{
		"as the chart makes them": {func(*testing.T, *cluster) {}, ""},
		"other labels":            {ofBinding("owner", func(b *binding) { b.Labels = map[string]string{"helm.sh/chart": "next"} }), ""},
		"audit, too":              {ofBinding("owner", func(b *binding) { b.Spec.ValidationActions = append(b.Spec.ValidationActions, admissionv1.Audit) }), ""},
		"no Deny":                 {ofBinding("owner", func(b *binding) { b.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Audit} }), "validatingadmissionpolicybinding traffic-manager-intercept-system-owner has the validationActions [Audit] without Deny"},
		"of another policy":       {ofBinding("intercepts", func(b *binding) { b.Spec.PolicyName = "other" }), `traffic-manager-intercept-system-intercepts binds "other"`},
		"one namespace": {ofBinding("owner", func(b *binding) {
			b.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}
		}), "owner leaves objects out"},
		"some objects": {ofBinding("sessions", func(b *binding) {
			b.Spec.MatchResources.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		}), "sessions leaves objects out"},
		"ignored failures": {ofPolicy("owner", func(p *policy) { p.Spec.FailurePolicy = ptr.To(admissionv1.Ignore) }), "owner has not the failurePolicy Fail"},
		"no validation":    {ofPolicy("stand-ins", func(p *policy) { p.Spec.Validations = nil }), "stand-ins validates nothing"},
		"an exemption":     {ofPolicy("owner", func(p *policy) { p.Spec.MatchConditions = []admissionv1.MatchCondition{{Name: "but-bob"}} }), "leaves requests out by matchConditions"},
		"an excluded group": {ofPolicy("manager", func(p *policy) {
			p.Spec.MatchConstraints.ExcludeResourceRules = []admissionv1.NamedRuleWithOperations{{}}
		}), "leaves objects out"},
		"a policy is gone": {func(t *testing.T, c *cluster) {
			if err := c.Delete(t.Context(), &policy{ObjectMeta: metav1.ObjectMeta{Name: release + "-sessions"}}); err != nil {
				t.Fatal(err)
			}
		}, "validatingadmissionpolicy traffic-manager-intercept-system-sessions does not exist"},
		"a binding is gone": {func(t *testing.T, c *cluster) {
			if err := c.Delete(t.Context(), &binding{ObjectMeta: metav1.ObjectMeta{Name: release + "-manager"}}); err != nil {
				t.Fatal(err)
			}
		}, "validatingadmissionpolicybinding traffic-manager-intercept-system-manager does not exist"},
		"any user":   {func(_ *testing.T, c *cluster) { c.admits = "spec.user" }, "admits a Session in another user's name"},
		"any groups": {func(_ *testing.T, c *cluster) { c.admits = "spec.groups" }, "admits a Session with another user's groups"},
		"nothing to try with": {func(_ *testing.T, c *cluster) {
			c.refusal = apierrors.NewForbidden(schema.GroupResource{Resource: "sessions"}, "", errors.New(`User "x" cannot create resource "sessions"; spec.user must be your own name`))
		}, "try whether a Session in another user's name is refused"},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			tt.change(t, c)
			since, err := c.guard.InForce(t.Context())
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want == "" && !since.Equal(c.installs.Add(settle)):
				t.Errorf("in force since %s, installed at %s", since, c.installs)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if c.made > 0 {
				t.Error("it made a Session")
			}
		})
	}
}

// TestSince: what was made while a policy was not in force is not believed.
func TestSince(t *testing.T) {
	later := time.Now().Add(-time.Minute).Truncate(time.Second)
	for name, to := range map[string]func(*testing.T, *cluster){
		"the binding is made anew": func(t *testing.T, c *cluster) {
			change(t, c, "owner", func(b *binding) { b.CreationTimestamp = metav1.NewTime(later) })
		},
		"the policy is made anew": func(t *testing.T, c *cluster) {
			change(t, c, "owner", func(p *policy) { p.CreationTimestamp = metav1.NewTime(later) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			to(t, c)
			if since, err := c.guard.InForce(t.Context()); err != nil || !since.Equal(later.Add(settle)) {
				t.Errorf("since %s (%v), want %s", since, err, later)
			}
		})
	}
	written := []metav1.ManagedFieldsEntry{{Manager: "helm", Time: ptr.To(metav1.NewTime(later))}}
	for generation, want := range map[int64]time.Time{1: later.Add(-time.Hour), 3: later} { // another Deny in between
		b := &binding{ObjectMeta: metav1.ObjectMeta{Generation: generation, CreationTimestamp: metav1.NewTime(later.Add(-time.Hour)), ManagedFields: written}}
		if got := changed(b); !got.Equal(want) {
			t.Errorf("generation %d: changed at %s, want %s", generation, got, want)
		}
	}
	t.Run("the guard saw it", func(t *testing.T) {
		c := newCluster(t)
		news := 0
		c.guard.Changed = func() { news++ }
		for _, admits := range []string{"", "spec.user", "spec.user", ""} {
			c.admits = admits
			c.guard.InForce(t.Context())
		}
		since, err := c.guard.InForce(t.Context())
		if err != nil || time.Since(since) > time.Minute || news != 3 {
			t.Errorf("since %s (%v), told %d times", since, err, news)
		}
	})
}

// TestAsksAnew: a look that began before the question does not answer it, and questions at the
// same time share one.
func TestAsksAnew(t *testing.T) {
	c := newCluster(t)
	if _, err := c.guard.InForce(t.Context()); err != nil {
		t.Fatal(err)
	}
	once := c.reads.Load()
	c.admits = "spec.user"
	if _, err := c.guard.InForce(t.Context()); err == nil {
		t.Error("it believes what it knew")
	}
	if n := c.reads.Load(); n != 2*once {
		t.Errorf("%d reads, want %d", n, 2*once)
	}
	if _, err := c.guard.lately(t.Context()); err == nil || c.reads.Load() != 2*once {
		t.Error("what was found lately is not what was found last")
	}
}
