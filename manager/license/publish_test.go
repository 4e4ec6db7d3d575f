package license

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	api "github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

func TestNotice(t *testing.T) {
	until := noon.Add(3 * 24 * time.Hour)
	far := noon.AddDate(1, 0, 0)
	for name, test := range map[string]struct {
		report  api.Report
		key     string
		message string
	}{
		"all is well":         {api.Report{State: api.Valid, ValidUntil: &far}, "", ""},
		"none and none asked": {api.Report{State: api.Absent}, "", ""},
		"soon": {api.Report{State: api.Valid, Subject: "acme", ValidUntil: &until, Required: true},
			"2026-12-01 LicenseExpiresSoon", "the license of acme expires on 2026-12-04 12:00 UTC, in 3 days"},
		"over": {api.Report{State: api.Expired, Subject: "acme", ValidUntil: &noon},
			"2026-12-01 LicenseExpired", "the license of acme expired on 2026-12-01 12:00 UTC"},
		"over and required": {api.Report{State: api.Expired, Subject: "acme", ValidUntil: &noon, Required: true},
			"2026-12-01 LicenseExpired", "the license of acme expired on 2026-12-01 12:00 UTC; personal intercepts are refused"},
		"elsewhere": {api.Report{State: api.OtherCluster, Message: "it is for a"}, "2026-12-01 LicenseOfOtherCluster", "it is for a"},
		"invalid":   {api.Report{State: api.Invalid, Message: "no JWT"}, "2026-12-01 LicenseInvalid", "no JWT"},
		"missing": {api.Report{State: api.Absent, Required: true}, "2026-12-01 LicenseMissing",
			"there is no license; personal intercepts are refused"},
	} {
		t.Run(name, func(t *testing.T) {
			if n := noticeOf(test.report, noon); n.key != test.key || n.message != test.message {
				t.Errorf("%q: %q", n.key, n.message)
			}
		})
	}
}

// cluster has the chart's ConfigMap and counts writes.
type cluster struct {
	client.WithWatch
	writes int
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{}
	c.WithWatch = fake.NewClientBuilder().WithObjects(kubeSystem(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "traffic-manager", Annotations: map[string]string{"theirs": "stays"}},
		Data:       map[string]string{"version": "0.1.0"}}).
		WithInterceptorFuncs(interceptor.Funcs{Patch: func(ctx context.Context, cl client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			c.writes++
			return cl.Patch(ctx, o, p, opts...)
		}}).Build()
	return c
}

func (c *cluster) read(t *testing.T) (*corev1.ConfigMap, *api.Report) {
	t.Helper()
	var cm corev1.ConfigMap
	if err := c.Get(context.Background(), client.ObjectKey{Namespace: "intercept-system", Name: "traffic-manager"}, &cm); err != nil {
		t.Fatal(err)
	}
	r, err := api.Read(&cm)
	if err != nil || r == nil {
		t.Fatalf("%v, %v", r, err)
	}
	return &cm, r
}

func TestPublish(t *testing.T) {
	ed, c := newEd25519(t), newCluster(t)
	m := &mounted{t: t, dir: t.TempDir()}
	now := noon
	leader := func() (*Publisher, *events.FakeRecorder) {
		k := NewChecker(Options{File: m.file(), PublicKey: ed.pem(t)}, c, slog.New(slog.DiscardHandler))
		k.now = func() time.Time { return now }
		recorder := events.NewFakeRecorder(10)
		return &Publisher{Checker: k, Client: c, Events: recorder, Namespace: "intercept-system", Name: "traffic-manager"}, recorder
	}
	p, recorder := leader()
	step := func(state api.State, writes int, event string) {
		t.Helper()
		before := c.writes
		if err := p.publish(context.Background()); err != nil {
			t.Fatal(err)
		}
		cm, r := c.read(t)
		if r.State != state {
			t.Fatalf("state %s, want %s", r.State, state)
		}
		if cm.Data["version"] != "0.1.0" || cm.Annotations["theirs"] != "stays" {
			t.Errorf("what is the chart's has changed: %v %v", cm.Data, cm.Annotations)
		}
		if n := c.writes - before; n != writes {
			t.Errorf("%d writes, want %d", n, writes)
		}
		got := ""
		select {
		case got = <-recorder.Events:
		default:
		}
		if event == "" && got != "" || !strings.Contains(got, event) {
			t.Errorf("event %q, want %q", got, event)
		}
	}
	step(api.Absent, 1, "")
	step(api.Absent, 0, "")
	m.put(ed.sign(t, good()))
	step(api.Valid, 1, "")
	step(api.Valid, 0, "")
	now = noon.AddDate(0, 1, -10) // ten days are left
	step(api.Valid, 1, "Warning LicenseExpiresSoon")
	step(api.Valid, 0, "")
	p, recorder = leader() // another replica leads: it has been said today
	step(api.Valid, 0, "")
	now = now.AddDate(0, 0, 1)
	step(api.Valid, 1, "Warning LicenseExpiresSoon the license of acme expires on 2027-01-01 12:00 UTC, in 9 days")
	now = noon.AddDate(0, 1, 0)
	step(api.Expired, 1, "Warning LicenseExpired")
	step(api.Expired, 0, "")
	m.put(ed.sign(t, with(jwt.MapClaims{"exp": noon.AddDate(2, 0, 0).Unix()})))
	step(api.Valid, 1, "")
	cm, _ := c.read(t)
	if _, ok := cm.Annotations[eventAnnotation]; ok {
		t.Error("the annotation outlives its reason")
	}
	// Somebody puts the chart's ConfigMap back as it was.
	delete(cm.Data, api.Key)
	if err := c.Update(context.Background(), cm); err != nil {
		t.Fatal(err)
	}
	step(api.Valid, 1, "")
}

// The ConfigMap says whether users may create personal intercepts, for the API server.
func TestPublishDecision(t *testing.T) {
	ed, c := newEd25519(t), newCluster(t)
	m := &mounted{t: t, dir: t.TempDir()}
	k := NewChecker(Options{File: m.file(), PublicKey: ed.pem(t), Required: true}, c, slog.New(slog.DiscardHandler))
	k.now = func() time.Time { return noon }
	p := &Publisher{Checker: k, Client: c, Events: events.NewFakeRecorder(10), Namespace: "intercept-system", Name: "traffic-manager"}
	says := func(want string) {
		t.Helper()
		if err := p.publish(context.Background()); err != nil {
			t.Fatal(err)
		}
		if cm, _ := c.read(t); !strings.HasPrefix(cm.Data[api.DecisionKey], want) {
			t.Errorf("the decision is %q", cm.Data[api.DecisionKey])
		}
	}
	says("personal intercepts need a license in this cluster, and there is none; an administrator")
	m.put(ed.sign(t, good()))
	says(api.Allowed)
	cm, _ := c.read(t)
	delete(cm.Data, api.DecisionKey)
	if err := c.Update(context.Background(), cm); err != nil {
		t.Fatal(err)
	}
	says(api.Allowed)

	// Without a decision, the policy asks users to wait for the traffic-manager. An old
	// decision would be followed as soon as a license is required again.
	k.options.Required = false
	if err := p.publish(context.Background()); err != nil {
		t.Fatal(err)
	}
	if cm, _ := c.read(t); cm.Data[api.DecisionKey] != "" {
		t.Errorf("while no license is required, the decision is %q", cm.Data[api.DecisionKey])
	}
}
