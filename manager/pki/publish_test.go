package pki

import (
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// The ConfigMap has the authority's certificates and keeps the rest, also after somebody has
// replaced it, and after a rotation.
func TestPublish(t *testing.T) {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "traffic-manager"}, Data: map[string]string{"version": "1"}}
	c := fake.NewClientBuilder().WithObjects(cm).Build()
	authority, err := Load(t.Context(), c, "system", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := &Publisher{Authority: authority, Client: c, Namespace: "system", Name: "traffic-manager", Log: slog.New(slog.DiscardHandler)}
	published := func(what string) string {
		t.Helper()
		if err := p.publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(cm), cm); err != nil {
			t.Fatal(err)
		}
		got := cm.Data[handshake.AuthorityKey]
		if got != string(authority.Bundle()) || cm.Data["version"] != "1" {
			t.Errorf("%s: %v", what, cm.Data)
		}
		return got
	}
	first := published("at first")
	cm.Data = map[string]string{"version": "1"}
	if err := c.Update(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	published("after a replacement")
	if err := authority.Renew(t.Context(), c, "system", time.Now().Add(authorityLife-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if published("after a rotation") == first {
		t.Error("there was no rotation")
	}
	if err := c.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	if err := p.publish(t.Context()); err != nil {
		t.Errorf("after the uninstallation: %v", err)
	}
}
