package license

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	api "github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

func kubeSystem() client.Object {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: here}}
}

// mounted is a folder as the kubelet makes it of a Secret: the file is a link
// through a link that is swapped.
type mounted struct {
	t   *testing.T
	dir string
	n   int
}

func (m *mounted) file() string { return filepath.Join(m.dir, "license") }

func (m *mounted) put(token string) {
	m.t.Helper()
	m.n++
	version := filepath.Join(m.dir, "..v"+strings.Repeat("i", m.n))
	for _, err := range []error{
		os.Mkdir(version, 0o755), os.WriteFile(filepath.Join(version, "license"), []byte(token), 0o644),
		os.Symlink(filepath.Base(version), filepath.Join(m.dir, "..next")),
		os.Rename(filepath.Join(m.dir, "..next"), filepath.Join(m.dir, "..data")),
	} {
		if err != nil {
			m.t.Fatal(err)
		}
	}
	if m.n == 1 {
		if err := os.Symlink("..data/license", m.file()); err != nil {
			m.t.Fatal(err)
		}
	}
}

func newChecker(o Options, objects ...client.Object) *Checker {
	k := NewChecker(o, fake.NewClientBuilder().WithObjects(objects...).Build(), slog.New(slog.DiscardHandler))
	k.now = func() time.Time { return noon }
	return k
}

func TestKeeperReadsTheFileAgain(t *testing.T) {
	ed := newEd25519(t)
	m := &mounted{t: t, dir: t.TempDir()}
	k := newChecker(Options{File: m.file(), PublicKey: ed.pem(t), Required: true}, kubeSystem())
	want := func(state api.State, message string) {
		t.Helper()
		k.Reload(context.Background())
		r := k.Report()
		if r.State != state || !strings.Contains(r.Message, message) || !r.Required || r.Cluster != here {
			t.Fatalf("got %+v, want %s %q", r, state, message)
		}
	}
	want(api.Absent, "")
	m.put("")
	want(api.Absent, "")
	m.put(ed.sign(t, good()))
	want(api.Valid, "")
	m.put(ed.sign(t, with(jwt.MapClaims{"exp": noon.Unix()})))
	want(api.Expired, "expired")
	m.put("hello")
	want(api.Invalid, "not a signed JWT")
	m.put(strings.Repeat("x", maxSize+1))
	want(api.Invalid, "more than")
	m.put(ed.sign(t, with(jwt.MapClaims{"sub": "acme again"})) + "\n")
	want(api.Valid, "")
	if s := k.Report().Subject; s != "acme again" {
		t.Errorf("subject %q", s)
	}
	if err := os.Remove(m.file()); err != nil {
		t.Fatal(err)
	}
	want(api.Absent, "")
}

func TestKeeperWithoutAKey(t *testing.T) {
	m := &mounted{t: t, dir: t.TempDir()}
	m.put(newEd25519(t).sign(t, good()))
	k := newChecker(Options{File: m.file()}, kubeSystem())
	k.Reload(context.Background())
	if r := k.Report(); r.State != api.Invalid || !strings.Contains(r.Message, "set license.publicKey") {
		t.Errorf("%+v", r)
	}
}

// A cluster whose id cannot be read has no license; it is asked for again.
func TestKeeperLearnsTheCluster(t *testing.T) {
	ed := newEd25519(t)
	m := &mounted{t: t, dir: t.TempDir()}
	m.put(ed.sign(t, good()))
	k := newChecker(Options{File: m.file(), PublicKey: ed.pem(t)})
	k.Reload(context.Background())
	if r := k.Report(); r.State != api.Invalid || !strings.Contains(r.Message, "not known") || !strings.Contains(r.Message, "kube-system") {
		t.Errorf("%+v", r)
	}
	if err := k.reader.(client.Client).Create(context.Background(), kubeSystem()); err != nil {
		t.Fatal(err)
	}
	k.Reload(context.Background())
	if r := k.Report(); r.State != api.Valid {
		t.Errorf("%+v", r)
	}
}

func TestMetrics(t *testing.T) {
	ed := newEd25519(t)
	m := &mounted{t: t, dir: t.TempDir()}
	m.put(ed.sign(t, good()))
	k := newChecker(Options{File: m.file(), PublicKey: ed.pem(t)}, kubeSystem())
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(NewMetrics(k)); err != nil {
		t.Fatal(err)
	}
	gather := func() map[string]float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.Metric {
				name := f.GetName()
				for _, l := range m.Label {
					name += " " + l.GetValue()
				}
				got[name] = m.Gauge.GetValue()
			}
		}
		return got
	}
	if got := gather(); got["traffic_manager_license_state absent"] != 1 || len(got) != len(api.States()) {
		t.Errorf("before the first reload: %v", got)
	}
	k.Reload(context.Background())
	got := gather()
	if got["traffic_manager_license_state valid"] != 1 || got["traffic_manager_license_state absent"] != 0 ||
		got["traffic_manager_license_expiry_timestamp_seconds"] != float64(noon.AddDate(0, 1, 0).Unix()) {
		t.Errorf("%v", got)
	}
}

// A Secret that the user has to make is named while it is not there.
func TestKeeperNamesTheSecret(t *testing.T) {
	ed := newEd25519(t)
	m := &mounted{t: t, dir: t.TempDir()}
	k := newChecker(Options{File: m.file(), Secret: "mine", PublicKey: ed.pem(t)}, kubeSystem())
	k.Reload(context.Background())
	want := `there is no secret mine in the traffic-manager's namespace, or nothing in it under "license"`
	if r := k.Report(); r.State != api.Absent || r.Message != want {
		t.Errorf("%+v", r)
	}
	m.put(ed.sign(t, good()))
	k.Reload(context.Background())
	if r := k.Report(); r.State != api.Valid || r.Message != "" {
		t.Errorf("with it: %+v", r)
	}
}
