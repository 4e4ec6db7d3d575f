package claim

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func lease(namespace, claims, holder string, age time.Duration) *coordinationv1.Lease {
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: Lease, CreationTimestamp: metav1.NewTime(time.Now().Add(-age).Truncate(time.Second))},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: ptr.To[int32](8),
			RenewTime: ptr.To(metav1.NowMicro())},
	}
	if claims != "" {
		l.Annotations = map[string]string{Annotation: claims}
	}
	return l
}

func cluster(leases ...client.Object) client.WithWatch {
	return fake.NewClientBuilder().WithObjects(leases...).WithIndex(&coordinationv1.Lease{}, "metadata.name",
		func(o client.Object) []string { return []string{o.GetName()} }).Build()
}

// renew renews a Lease as its leader does, until ctx ends.
func renew(ctx context.Context, t *testing.T, c client.Client, namespace string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		var l coordinationv1.Lease
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: Lease}, &l); err != nil {
			t.Error(err)
			return
		}
		l.Spec.RenewTime = ptr.To(metav1.NowMicro())
		if err := c.Update(ctx, &l); err != nil {
			t.Error(err)
			return
		}
	}
}

// A traffic-manager starts only where no other one lives.
func TestFree(t *testing.T) {
	const both = "the traffic-manager in namespace first works in "
	const advice = " already, and two would take each other's intercepts apart: " +
		"uninstall one of them, or give both a list \"namespaces\" with no name in common"
	for name, test := range map[string]struct {
		namespaces     []string
		claims, holder string
		dead           bool
		want           string
	}{
		"all and all":             {nil, "*", "pod-1", false, both + "all namespaces" + advice},
		"some beside all":         {[]string{"shop"}, "*", "pod-1", false, both + "namespace shop" + advice},
		"all beside some":         {nil, "blog,shop", "pod-1", false, both + "namespace blog, shop" + advice},
		"one in common":           {[]string{"crm", "shop"}, "blog,shop", "pod-1", false, both + "namespace shop" + advice},
		"none in common":          {[]string{"crm"}, "blog,shop", "pod-1", false, ""},
		"the other one was ended": {nil, "*", "", false, ""},
		"the other one died":      {nil, "*", "pod-1", true, ""},
		"the other one starts":    {nil, "", "pod-1", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				objects := cluster(lease("first", test.claims, test.holder, time.Hour), lease("second", "*", "pod-2", time.Hour))
				if !test.dead {
					go renew(ctx, t, objects, "first")
				}
				c := &Claim{Client: objects, Namespace: "second", Namespaces: test.namespaces, Log: slog.New(slog.DiscardHandler)}
				got := ""
				if err := c.Free(ctx); err != nil {
					got = err.Error()
				}
				if got != test.want {
					t.Errorf("%q, want %q", got, test.want)
				}
				cancel()
			})
		})
	}
}

// Of two that started at once, one goes on: the one whose Lease is older.
func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		objects := cluster(lease("first", "", "pod-1", time.Hour), lease("second", "", "pod-2", time.Minute))
		go renew(ctx, t, objects, "first")
		go renew(ctx, t, objects, "second")
		start := func(namespace string, ended chan<- error) {
			ended <- (&Claim{Client: objects, Namespace: namespace, Log: slog.New(slog.DiscardHandler)}).Start(ctx)
		}
		first, second := make(chan error, 1), make(chan error, 1)
		go start("first", first)
		go start("second", second)
		var overlap *OverlapError
		if err := <-second; !errors.As(err, &overlap) || overlap.Namespace != "first" {
			t.Errorf("the younger one ends with %v", err)
		}
		time.Sleep(time.Minute)
		select {
		case err := <-first:
			t.Errorf("the older one ends with %v", err)
		default:
		}
		var l coordinationv1.Lease
		if err := objects.Get(ctx, client.ObjectKey{Namespace: "first", Name: Lease}, &l); err != nil || l.Annotations[Annotation] != "*" {
			t.Errorf("its Lease says %q, %v", l.Annotations, err)
		}
		cancel()
		<-first
	})
}
