package daemon

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/access"
)

// The object brings the network, and each change of it.
func TestClusterNetworkIsFollowed(t *testing.T) {
	c := newCluster(t)
	cfg, err := c.factory().ToRESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	api, err := kube.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	object := func(cidrs ...string) *v1alpha1.Session {
		s := &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "jane", UID: "u"}}
		if cidrs != nil {
			s.Status.Network = &v1alpha1.SessionNetwork{ServiceCIDRs: cidrs}
		}
		return s
	}
	first := object()
	c.put(first)
	feed := access.NewFeed()
	ended := make(chan struct{})
	go func() {
		untilDeleted(t.Context(), api, object(), func(s *v1alpha1.Session) { feed.Set(s.Status.Network) })
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	services := func(count int) func() bool {
		return func() bool { n := feed.Last(); return n != nil && len(n.Services) == count }
	}
	c.put(object("10.96.0.0/16"))
	wait(t, "the network", services(1))
	if got := feed.Last().Services[0].String(); got != "10.96.0.0/16" {
		t.Fatalf("the network is %s", got)
	}
	c.put(object("nonsense")) // the network before stays
	c.put(object("10.96.0.0/16", "10.112.0.0/16"))
	wait(t, "the change", services(2))
	c.remove(path(first))
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("the end does not arrive")
	}
}
