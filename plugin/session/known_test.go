package session

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// home is a machine whose sessions are in the user's cache folder.
func home(t *testing.T, f *kube.Factory) *machine {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	m := newMachine(t, f)
	var err error
	if m.dir, err = state.Open(m.id.Key); err != nil {
		t.Fatal(err)
	}
	return m
}

// nowhere has a kubeconfig without the context.
func nowhere(t *testing.T, name string) Config {
	t.Helper()
	f := kube.NewFactory()
	path := t.TempDir() + "/away"
	f.KubeConfig, f.Context = &path, &name
	return Config{Factory: f}
}

func TestKnownWithoutKubeconfig(t *testing.T) {
	c := newCluster(t)
	m := home(t, c.factory())
	m.mustEnsure()
	all, err := All(t.Context())
	if err != nil || len(all) != 1 || all[0].Context != "demo" || all[0].User != "jane" || all[0].Status == nil || all[0].PID == 0 {
		t.Fatalf("all: %+v, %v", all, err)
	}
	if mine, err := Of(t.Context(), Config{Factory: m.f}); err != nil || len(mine) != 1 || mine[0].Flag != "--context demo" {
		t.Errorf("with its kubeconfig: %+v, %v", mine, err)
	}
	if others, err := Others(t.Context(), Config{Factory: m.f}); err != nil || len(others) != 0 {
		t.Errorf("others: %+v, %v", others, err)
	}
	gone := nowhere(t, "demo")
	mine, err := Of(t.Context(), gone)
	if err != nil || len(mine) != 1 {
		t.Fatalf("of a context that is gone: %+v, %v", mine, err)
	}
	if _, err := Of(t.Context(), nowhere(t, "other")); err == nil {
		t.Error("a context that nobody knows is one")
	}
	others, err := Others(t.Context(), nowhere(t, ""))
	if err != nil || len(others) != 1 || others[0].Flag != "--context demo" {
		t.Errorf("others without a kubeconfig: %+v, %v", others, err)
	}

	left, err := mine[0].Quit(t.Context())
	if err != nil || left != "" || len(c.sessions()) != 0 {
		t.Errorf("quit leaves %q, %v, sessions %v", left, err, c.sessions())
	}
	if all, err := All(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("after quit: %+v, %v", all, err)
	}
}

// What a dead session would bring back is known as well, and forgotten.
func TestKnownDead(t *testing.T) {
	m := home(t, newCluster(t).factory())
	s := state.New()
	s.Context, s.Session, s.Proxies = "demo", "jane-1", []state.Proxy{{Address: "127.0.0.1:1080", Namespace: "shop"}}
	if err := m.dir.Save(s); err != nil {
		t.Fatal(err)
	}
	lock, err := m.dir.Lock()
	if err != nil {
		t.Fatal(err)
	}
	// A process that hangs.
	if err := m.dir.SavePID(); err != nil {
		t.Fatal(err)
	}
	all, err := All(t.Context())
	if err != nil || len(all) != 1 || all[0].Status != nil || all[0].PID != os.Getpid() {
		t.Fatalf("while it hangs: %+v, %v", all, err)
	}
	if _, err := all[0].Disconnect(t.Context()); err == nil || !strings.Contains(err.Error(), "does not answer: kubectl intercept quit ends it") {
		t.Errorf("disconnect while it hangs: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	all, err = All(t.Context())
	if err != nil || len(all) != 1 || !all[0].Asked || !all[0].Online() {
		t.Fatalf("all: %+v, %v", all, err)
	}
	if was, err := all[0].Disconnect(t.Context()); !was || err != nil {
		t.Errorf("disconnect: %t, %v", was, err)
	}
	if all, err := All(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("after disconnect: %+v, %v", all, err)
	}
}

func TestTakenNamesTheSession(t *testing.T) {
	m := home(t, newCluster(t).factory())
	m.mustEnsure()
	if err := m.last.taken(t.Context(), errors.New("else")); err.Error() != "else" {
		t.Errorf("another error becomes %v", err)
	}
	err := m.last.taken(context.Background(), handover.ErrTaken)
	if !errors.Is(err, handover.ErrTaken) || !strings.Contains(err.Error(), "kubectl intercept disconnect --all") {
		t.Errorf("nobody known: %v", err)
	}
}

// One that has intercepts alone is known as well; it is not one that hangs.
func TestKnownDeadWithIntercepts(t *testing.T) {
	m := home(t, newCluster(t).factory())
	s := state.New()
	s.Context, s.Session, s.ManagerNamespace = "demo", "jane-1", "infra"
	s.Intercepts = []types.NamespacedName{{Namespace: "shop", Name: "quote"}}
	if err := m.dir.Save(s); err != nil {
		t.Fatal(err)
	}
	lock, err := m.dir.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	mine, err := Of(t.Context(), nowhere(t, "demo"))
	if err != nil || len(mine) != 1 || mine[0].Held() || mine[0].Online() || mine[0].ManagerNamespace != "infra" || mine[0].Flag != "--context demo" {
		t.Fatalf("known: %+v, %v", mine, err)
	}
	if was, err := mine[0].Disconnect(t.Context()); was || err != nil {
		t.Errorf("disconnect: %t, %v", was, err)
	}
	if left, err := mine[0].Quit(t.Context()); left != "jane-1" || err != nil {
		t.Errorf("quit leaves %q, %v", left, err)
	}
	if all, err := All(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("after quit: %+v, %v", all, err)
	}
}
