package local

import (
	"context"
	"log/slog"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
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
