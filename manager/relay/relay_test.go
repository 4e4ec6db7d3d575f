package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

var token = [handshake.TokenSize]byte{1, 2, 3}

// newRelay knows one Session, alice's; changes receives what OnChange hears.
func newRelay(t *testing.T) (r *Relay, changes *[]string) {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(token[:])
	alice := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "alice"},
		Spec: v1alpha1.SessionSpec{User: "alice", TokenHash: hex.EncodeToString(sum[:])}}
	ending := alice.DeepCopy()
	ending.Name, ending.Finalizers, ending.DeletionTimestamp = "ending", []string{"x/y"}, &metav1.Time{Time: time.Now()}
	changes = &[]string{}
	r, err := New(Config{Log: slog.New(slog.DiscardHandler), Namespace: "intercept-system", Pod: "traffic-manager-1",
		Reader:   fake.NewClientBuilder().WithScheme(s).WithObjects(alice, ending).Build(),
		OnChange: func(s string) { *changes = append(*changes, s) }})
	if err != nil {
		t.Fatal(err)
	}
	return r, changes
}

func TestTokenDecides(t *testing.T) {
	r, _ := newRelay(t)
	forged := token
	forged[0]++
	cases := []struct {
		name  string
		hello handshake.Hello
		good  bool
	}{
		{"the session's own", handshake.Hello{Session: "alice", Token: token}, true},
		{"forged", handshake.Hello{Session: "alice", Token: forged}, false},
		{"empty", handshake.Hello{Session: "alice"}, false},
		{"of a session that does not exist", handshake.Hello{Session: "bob", Token: token}, false},
		{"of a session that is being deleted", handshake.Hello{Session: "ending", Token: token}, false},
		{"for the other direction", handshake.Hello{Session: "alice", Token: token, Direction: handshake.Outbound}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := r.admit(&c.hello)
			if (err == nil) != c.good {
				t.Fatalf("admitted %v, %v", s != nil, err)
			}
			if s != nil {
				r.removeCarrier(s)
			}
		})
	}
	// Who guesses names learns nothing from the answer.
	_, missing := r.authenticate(context.Background(), &handshake.Hello{Session: "bob"})
	_, wrong := r.authenticate(context.Background(), &handshake.Hello{Session: "alice"})
	if missing.Error() != wrong.Error() {
		t.Errorf("answers differ: %q and %q", missing, wrong)
	}
}

func TestNewerProcessTakesOver(t *testing.T) {
	r, changes := newRelay(t)
	older, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 1}, authz.Subject{})
	if err != nil {
		t.Fatal(err)
	}
	newer, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 2}, authz.Subject{})
	if err != nil {
		t.Fatal(err)
	}
	if older.ctx.Err() == nil {
		t.Error("the older process's carriers live on")
	}
	if _, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 1}, authz.Subject{}); err == nil {
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
	s, err := r.addCarrier(&handshake.Hello{Session: "alice", Generation: 1}, authz.Subject{})
	if err != nil {
		t.Fatal(err)
	}
	r.Drop("nobody")
	r.Drop("alice")
	if s.ctx.Err() == nil {
		t.Error("carriers of a deleted session live on")
	}
}

// A Session that is deleted after its token was compared has no carrier.
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
	if _, err := r.admit(&handshake.Hello{Session: "alice", Token: token}); !errors.Is(err, errToken) {
		t.Errorf("the session is admitted: %v", err)
	}
	if r.Connected("alice") {
		t.Error("the session is connected")
	}
}

func TestPlainRequestIsRefused(t *testing.T) {
	r, _ := newRelay(t)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, handshake.UpgradePath, nil))
	if w.Code != http.StatusUpgradeRequired {
		t.Errorf("answered %d", w.Code)
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
		_, err := r.addCarrier(&handshake.Hello{Session: "alice", Token: token}, authz.Subject{User: "alice"})
		done <- err
	}()
	<-stuck
	s, err := r.addCarrier(&handshake.Hello{Session: "bob", Token: token}, authz.Subject{User: "bob"})
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
