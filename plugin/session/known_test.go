package session

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// home makes an empty cache directory, with the directory of a session in it.
func home(t *testing.T) *state.Dir {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir, err := state.Open("demo")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// nowhere has a kubeconfig without the context.
func nowhere(t *testing.T, name string) Config {
	t.Helper()
	f := kube.NewFactory()
	path := t.TempDir() + "/away"
	f.KubeConfig, f.Context = &path, &name
	return Config{Factory: f}
}

// What a dead session would bring back is known as well, and forgotten.
func TestKnownDead(t *testing.T) {
	dir := home(t)
	s := state.New()
	s.Context, s.Session, s.Proxies = "demo", "jane-1", []state.Proxy{{Address: "127.0.0.1:1080", Namespace: "shop"}}
	if err := dir.Save(s); err != nil {
		t.Fatal(err)
	}
	lock, err := dir.Lock()
	if err != nil {
		t.Fatal(err)
	}
	// A process that hangs.
	if err := dir.SavePID(); err != nil {
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
	if err != nil || len(all) != 1 || !all[0].Restores || !all[0].Online() {
		t.Fatalf("all: %+v, %v", all, err)
	}
	if was, err := all[0].Disconnect(t.Context()); !was || err != nil {
		t.Errorf("disconnect: %t, %v", was, err)
	}
	if all, err := All(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("after disconnect: %+v, %v", all, err)
	}
}

// One that has intercepts alone is known as well; it is not one that hangs.
func TestKnownDeadWithIntercepts(t *testing.T) {
	dir := home(t)
	s := state.New()
	s.Context, s.Session, s.ManagerNamespace = "demo", "jane-1", "infra"
	s.Intercepts = []types.NamespacedName{{Namespace: "shop", Name: "quote"}}
	if err := dir.Save(s); err != nil {
		t.Fatal(err)
	}
	lock, err := dir.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	mine, err := Selected(t.Context(), nowhere(t, "demo"))
	if err != nil || len(mine) != 1 || mine[0].Locked() || mine[0].Online() || mine[0].ManagerNamespace != "infra" || mine[0].Flag != "--context demo" {
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
