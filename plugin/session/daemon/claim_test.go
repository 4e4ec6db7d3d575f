package daemon

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// A command may disconnect while the process creates its Session object. The access that
// the process before gave is not restored then.
func TestDisconnectDuringClaim(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	saved := state.New()
	saved.Proxies = []state.Proxy{{Address: "127.0.0.1:0", Namespace: "shop"}}
	if err := m.dir.Save(saved); err != nil {
		t.Fatal(err)
	}
	creating, disconnected := make(chan struct{}), make(chan struct{})
	c.creating = func() { close(creating); <-disconnected }
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
	<-creating
	client := session.NewClient(m.dir)
	err := client.Disconnect(t.Context())
	close(disconnected)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the session", func() bool { s, err := client.Status(t.Context()); return err == nil && s.Connected })
	after, err := m.dir.Load()
	if err != nil {
		t.Fatal(err)
	}
	if after.Online() || after.Session == "" || after.User != "jane" {
		t.Errorf("the next process takes over %+v", after)
	}
	if s, err := client.Status(t.Context()); err != nil || s.Network.Online() {
		t.Errorf("the network is %+v: %v", s.Network, err)
	}
}
