package local

import (
	"context"
	"log/slog"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// An Intercept that is deleted and made again under its name does not end with the program
// of the former one.
func TestAnotherInterceptOfTheName(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing is watched
	table := NewTable(ctx, nil, "session", "jane", slog.New(slog.DiscardHandler), func() {})
	object := func(uid types.UID) *v1alpha1.Intercept {
		return &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: uid}}
	}
	first := table.put(object("1"))
	first.setProgram(state.Program{Command: "one"})
	if table.put(object("1")) != first || first.endsWith().Command != "one" {
		t.Fatal("a change of the Intercept loses its program")
	}
	second := table.put(object("2"))
	if second == first || !second.endsWith().Equal(state.Program{}) {
		t.Errorf("the new Intercept ends with %+v", second.endsWith())
	}
	select {
	case <-first.gone:
	default:
		t.Error("the former Intercept still counts as one that is there")
	}
	table.drop(client.ObjectKeyFromObject(object("")), first)
	if len(table.Keys()) != 1 {
		t.Error("the end of the former Intercept drops the new one")
	}
}

// After a change of the local port, flows go to the new one, whatever the status says yet and
// whichever older changes are still to be heard of.
func TestLocalPortChanges(t *testing.T) {
	object := func(generation int64, spec, status int32) *v1alpha1.Intercept {
		i := &v1alpha1.Intercept{}
		i.Generation = generation
		i.Spec.Ports = []v1alpha1.InterceptPort{{LocalHost: "127.0.0.1", LocalPort: spec}, {LocalHost: "127.0.0.1", LocalPort: 1}}
		i.Status.Ports = []v1alpha1.ResolvedPort{{ContainerPort: 8080, LocalHost: "127.0.0.1", LocalPort: status},
			{ContainerPort: 9090, LocalHost: "127.0.0.1", LocalPort: 1}}
		return i
	}
	e := newEntry(object(1, 9000, 9000))
	for _, change := range []*v1alpha1.Intercept{object(2, 9001, 9000), object(1, 9000, 9000), object(2, 9001, 9001)} {
		e.set(change)
		if at, ok := e.where(&frame.Open{Port: 8080, Protocol: frame.TCP}); !ok || at.port != 9001 {
			t.Errorf("after a change to %d, a flow goes to %v, %v", change.Generation, at, ok)
		}
	}
}
