package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
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
func nowhere(t *testing.T, name string) session.Config {
	t.Helper()
	f := kube.NewFactory()
	path := t.TempDir() + "/away"
	f.KubeConfig, f.Context = &path, &name
	return session.Config{Factory: f}
}

func TestKnownWithoutKubeconfig(t *testing.T) {
	c := newCluster(t)
	m := home(t, c.factory())
	m.mustEnsure()
	all, err := session.All(t.Context())
	if err != nil || len(all) != 1 || all[0].Context != "demo" || all[0].User != "jane" || all[0].Status == nil || all[0].PID == 0 {
		t.Fatalf("all: %+v, %v", all, err)
	}
	if mine, err := session.Selected(t.Context(), session.Config{Factory: m.f}); err != nil || len(mine) != 1 || mine[0].Flag != "--context demo" {
		t.Errorf("with its kubeconfig: %+v, %v", mine, err)
	}
	if others, err := session.Others(t.Context(), session.Config{Factory: m.f}); err != nil || len(others) != 0 {
		t.Errorf("others: %+v, %v", others, err)
	}
	gone := nowhere(t, "demo")
	mine, err := session.Selected(t.Context(), gone)
	if err != nil || len(mine) != 1 {
		t.Fatalf("of a context that is gone: %+v, %v", mine, err)
	}
	if _, err := session.Selected(t.Context(), nowhere(t, "other")); err == nil {
		t.Error("a context that nobody knows is one")
	}
	others, err := session.Others(t.Context(), nowhere(t, ""))
	if err != nil || len(others) != 1 || others[0].Flag != "--context demo" {
		t.Errorf("others without a kubeconfig: %+v, %v", others, err)
	}

	left, err := mine[0].Quit(t.Context())
	if err != nil || left != "" || len(c.sessions()) != 0 {
		t.Errorf("quit leaves %q, %v, sessions %v", left, err, c.sessions())
	}
	if all, err := session.All(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("after quit: %+v, %v", all, err)
	}
}

func TestTakenNamesTheSession(t *testing.T) {
	m := home(t, newCluster(t).factory())
	m.mustEnsure()
	if err := m.last.explainTaken(t.Context(), errors.New("else")); err.Error() != "else" {
		t.Errorf("another error becomes %v", err)
	}
	err := m.last.explainTaken(context.Background(), handover.ErrTaken)
	if !errors.Is(err, handover.ErrTaken) || !strings.Contains(err.Error(), "kubectl intercept disconnect --all") {
		t.Errorf("nobody known: %v", err)
	}
}
