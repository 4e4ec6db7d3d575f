package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// A user has no more than so many Sessions. Those with a laptop stay, and of them the older.
func TestExcess(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2000, 1, n, 0, 0, 0, 0, time.UTC) }
	alice := []v1alpha1.Session{*session("connected-1", true, day(1)), *session("away-2", false, day(2)), *session("connected-3", true, day(3)),
		*session("away-4", false, day(4)), *session("connected-5", true, day(5))}
	ending := *session("ending", false, day(0))
	ending.DeletionTimestamp = &metav1.Time{Time: day(6)}
	all := append(slices.Clone(alice), ending, *session("bob", false, day(0)))
	for i := range all {
		all[i].Spec.User = "alice"
		all[i].CreationTimestamp = metav1.Time{Time: day(i + 1)}
	}
	all[len(all)-1].Spec.User = "bob"
	for max, want := range map[int][]string{
		5: nil,
		4: {"away-2"},
		3: {"away-2", "away-4"},
		2: {"away-2", "away-4", "connected-5"},
		1: {"away-2", "away-4", "connected-5", "connected-3"},
	} {
		var got []string
		for _, s := range excess(all, "alice", max) {
			got = append(got, s.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("beyond %d are %v, want %v", max, got, want)
		}
	}
}

// A new Session of a user with too many takes the place of the oldest that nobody uses.
func TestSessionsAreBounded(t *testing.T) {
	var all []client.Object
	for n := range maxSessions + 1 {
		s := session(fmt.Sprint("carol-", n), false, time.Now())
		s.Spec.User, s.UID, s.CreationTimestamp = "carol", types.UID(s.Name), metav1.Time{Time: time.Unix(int64(n), 0)}
		if n == maxSessions {
			s.Status.Conditions = nil // it is new
		}
		all = append(all, s)
	}
	w := newWorld(t, interceptor.Funcs{}, all...)
	for _, n := range []int{maxSessions - 1, maxSessions} {
		_, err := w.ses.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(all[n])})
		w.Must(err)
		var first v1alpha1.Session
		err = w.Get(t.Context(), client.ObjectKeyFromObject(all[0]), &first)
		if gone := apierrors.IsNotFound(err); gone != (n == maxSessions) {
			t.Errorf("after number %d, the oldest: %v", n, err)
		}
	}
	var list v1alpha1.SessionList
	w.Must(w.List(t.Context(), &list, client.InNamespace(system)))
	if want := maxSessions + 2; len(list.Items) != want { // alice's and bob's
		t.Errorf("there are %d sessions, want %d", len(list.Items), want)
	}
}
