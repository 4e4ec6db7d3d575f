//go:build linux

package session

import (
	"errors"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

func TestForget(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	cfg := Config{Factory: flags(t, "--kubeconfig", writeConfig(t, kubeconfig))}
	id, err := Identify(cfg.Factory)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := state.Open(id.Key)
	if err != nil {
		t.Fatal(err)
	}
	if was, err := forget(dir, offline); was || err != nil {
		t.Errorf("nothing to forget: %t, %v", was, err)
	}
	s := state.New()
	s.Session, s.Device = "jane-1", &state.Device{Socket: "/run/intercept-netd/netd.sock", Namespace: "shop"}
	if err := dir.Save(s); err != nil {
		t.Fatal(err)
	}
	if s, err := dir.Load(); !s.Online() || err != nil {
		t.Errorf("asked: %+v, %v", s, err)
	}
	lock, err := dir.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if was, err := forget(dir, offline); was || err != nil {
		t.Errorf("a session runs: %t, %v", was, err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if was, err := forget(dir, offline); !was || err != nil {
		t.Errorf("forget: %t, %v", was, err)
	}
	if s, err := dir.Load(); s.Online() || err != nil {
		t.Errorf("asked after all: %+v, %v", s, err)
	}
	if left, err := dir.Load(); err != nil || left.Device != nil || left.Session != "jane-1" {
		t.Errorf("left is %+v, %v", left, err)
	}
	if _, err := Find(t.Context(), cfg); !errors.Is(err, ErrNotRunning) {
		t.Errorf("find: %v", err)
	}
}
