package relay

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

var (
	secret  = handshake.Secret{1, 2, 3}
	ofAlice = handshake.NewIdentity([handshake.SeedSize]byte{4, 5, 6})
	key     = ofAlice.PublicKey()
)

// newRelay knows one Session, alice's; changes receives what OnChange hears.
func newRelay(t *testing.T) (r *Relay, changes *[]string) {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	alice := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "alice"},
		Spec: v1alpha1.SessionSpec{User: "alice", PublicKey: key}}
	keyless := alice.DeepCopy()
	keyless.Name, keyless.Spec.PublicKey = "keyless", ""
	ending := alice.DeepCopy()
	ending.Name, ending.Finalizers, ending.DeletionTimestamp = "ending", []string{"x/y"}, &metav1.Time{Time: time.Now()}
	renewal := alice.DeepCopy()
	renewal.Name, renewal.Spec.Renews = "renewal", "alice"
	changes = &[]string{}
	api := fake.NewClientBuilder().WithScheme(s).WithObjects(alice, keyless, ending, renewal).Build()
	log := slog.New(slog.DiscardHandler)
	r, err := New(Config{Log: log, Namespace: "intercept-system", Pod: "traffic-manager-1", Reader: api, Cache: api, Budget: budget.New(log), Identity: &confirming{},
		OnChange: func(s string) { *changes = append(*changes, s) }})
	if err != nil {
		t.Fatal(err)
	}
	return r, changes
}

func userOf(name string) *owner { return &owner{authz.Subject{User: name}, time.Now().Add(time.Hour)} }

// confirming admits Sessions unless err says why not. They expire an hour after they were
// confirmed.
type confirming struct{ err error }

func (c *confirming) Admit(context.Context, *v1alpha1.Session) error { return c.err }

func (c *confirming) Expires(s *v1alpha1.Session) time.Time {
	if o := s.Status.Owner; o != nil {
		return o.Confirmed.Add(time.Hour)
	}
	return time.Now().Add(time.Hour)
}

func TestKeyDecides(t *testing.T) {
	r, _ := newRelay(t)
	cases := []struct {
		name, key string
		hello     handshake.Hello
		good      bool
	}{
		{"the session's own", key, handshake.Hello{Session: "alice"}, true},
		{"another", handshake.RandomIdentity().PublicKey(), handshake.Hello{Session: "alice"}, false},
		{"none", "", handshake.Hello{Session: "alice"}, false},
		{"of a session without a key", "", handshake.Hello{Session: "keyless"}, false},
		{"of a session that does not exist", key, handshake.Hello{Session: "bob"}, false},
		{"of a session's renewal", key, handshake.Hello{Session: "renewal"}, false},
		{"of a session that is being deleted", key, handshake.Hello{Session: "ending"}, false},
		{"for the other direction", key, handshake.Hello{Session: "alice", Direction: handshake.Outbound}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := r.admit(&c.hello, c.key, "192.0.2.1")
			if (err == nil) != c.good {
				t.Fatalf("admitted %v, %v", s != nil, err)
			}
			if s != nil {
				r.removeCarrier(s)
			}
		})
	}
	// Who guesses names learns nothing from the answer.
	_, missing := r.authenticate(context.Background(), &handshake.Hello{Session: "bob"}, key, "192.0.2.1")
	_, wrong := r.authenticate(context.Background(), &handshake.Hello{Session: "alice"}, handshake.RandomIdentity().PublicKey(), "192.0.2.1")
	if missing.Error() != wrong.Error() {
		t.Errorf("answers differ: %q and %q", missing, wrong)
	}
}

func TestNewerProcessTakesOver(t *testing.T) {
	r, changes := newRelay(t)
	older, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 1}, key, userOf(""))
	if err != nil {
		t.Fatal(err)
	}
	newer, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 2}, key, userOf(""))
	if err != nil {
		t.Fatal(err)
	}
	if older.ctx.Err() == nil {
		t.Error("the older process's carriers live on")
	}
	if _, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 1}, key, userOf("")); err == nil {
		t.Error("the older process is admitted again")
	}
	r.removeCarrier(older)
	if !r.Connected("alice") {
		t.Error("the end of the older carriers ended the session")
	}
	r.removeCarrier(newer)
	if r.Connected("alice") {
		t.Error("connected without a carrier")
	}
	if want := []string{"alice", "alice", "alice"}; !slices.Equal(*changes, want) {
		t.Errorf("changes are %v, want %v", *changes, want)
	}
}

func TestDropEndsCarriers(t *testing.T) {
	r, _ := newRelay(t)
	s, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 1}, key, userOf(""))
	if err != nil {
		t.Fatal(err)
	}
	r.Drop("nobody")
	r.Drop("alice")
	if s.ctx.Err() == nil {
		t.Error("carriers of a deleted session live on")
	}
}

// A Session that is deleted after its key was compared has no carrier.
func TestDropDuringAdmission(t *testing.T) {
	r, _ := newRelay(t)
	live := r.cfg.Reader
	r.cfg.Reader = interceptor.NewClient(live.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := c.Get(ctx, key, o, opts...); err != nil {
				return err
			}
			if err := c.Delete(ctx, o.DeepCopyObject().(client.Object)); err != nil {
				return err
			}
			r.Drop(key.Name)
			return nil
		}})
	if _, err := r.admit(&handshake.Hello{Session: "alice"}, key, "192.0.2.1"); !errors.Is(err, errKey) {
		t.Errorf("the session is admitted: %v", err)
	}
	if r.Connected("alice") {
		t.Error("the session is connected")
	}
}

func TestPlainRequestIsRefused(t *testing.T) {
	r, _ := newRelay(t)
	for _, path := range []string{handshake.UpgradePath, handshake.LineUpgradePath} {
		w := httptest.NewRecorder()
		r.Sessions().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusUpgradeRequired {
			t.Errorf("%s answered %d", path, w.Code)
		}
	}
}

// While nobody takes the news of one session, other sessions come and go.
func TestOnChangeHoldsUpNobodyElse(t *testing.T) {
	r, _ := newRelay(t)
	stuck, free := make(chan struct{}), make(chan struct{})
	r.cfg.OnChange = func(session string) {
		if session == "alice" {
			close(stuck)
			<-free
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.addCarrier(&handshake.Hello{Session: "alice"}, key, userOf("alice"))
		done <- err
	}()
	<-stuck
	s, err := r.addCarrier(&handshake.Hello{Session: "bob"}, key, userOf("bob"))
	if err != nil {
		t.Fatal(err)
	}
	r.removeCarrier(s)
	if r.Connected("bob") || !r.Connected("alice") {
		t.Errorf("bob %v, alice %v", r.Connected("bob"), r.Connected("alice"))
	}
	close(free)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
