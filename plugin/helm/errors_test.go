package helm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestExplain(t *testing.T) {
	c := &Client{namespace: "team-a"}
	for _, tt := range []struct {
		err    error
		atomic bool
		want   string
	}{
		{err: errors.New("no such thing"), want: "no such thing"},
		{err: fmt.Errorf("wait: %w", context.DeadlineExceeded), want: "traffic-manager is not ready after 2m0s"},
		{err: errors.New("client rate limiter Wait returned an error: context deadline exceeded"), want: "traffic-manager is not ready after 2m0s"},
		{err: context.DeadlineExceeded, atomic: true, want: "traffic-manager is not ready after 2m0s; the change was undone (--atomic)"},
		{err: fmt.Errorf("install: %w", context.Canceled), want: "interrupted; to go on, run kubectl intercept upgrade --namespace team-a"},
		{err: context.Canceled, atomic: true, want: "interrupted; the change was undone (--atomic)"},
		{err: errors.New("Role exists: invalid ownership metadata; and so on"), want: "Role exists: invalid ownership metadata; and so on " +
			"(it was not made by this release: manage it where it was made, delete it, or make it this release's with --take-ownership)"},
	} {
		if got := message(c.explain(tt.err, Options{Timeout: 2 * time.Minute, Atomic: tt.atomic})); got != tt.want {
			t.Errorf("%v:\n%s\nwant\n%s", tt.err, got, tt.want)
		}
	}
}

func TestDenied(t *testing.T) {
	forbidden := func(text string) error {
		return fmt.Errorf("read release: %w", apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New(text)))
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("no such thing"), "no such thing"},
		{apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, "x"), `secrets "x" not found`},
		{forbidden(`User "bob" cannot list resource "secrets" in API group "" in the namespace "team-a"`),
			`no permission: user "bob" cannot list resource "secrets" in API group "" in the namespace "team-a"; ` +
				"it takes the rights of a cluster administrator (ClusterRole cluster-admin)"},
		// Not a matter of roles.
		{forbidden("exceeded quota"), `read release: secrets "x" is forbidden: exceeded quota`},
	} {
		if got := message(Denied(tt.err)); got != tt.want {
			t.Errorf("%v:\n%s\nwant\n%s", tt.err, got, tt.want)
		}
	}
}
