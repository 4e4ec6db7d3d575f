package helm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ErrNotReady is in the tree of the error that says so: everything was applied,
// and did not become ready in time.
var ErrNotReady = errors.New("is not ready")

// ErrNotGone is the same of an uninstall.
var ErrNotGone = errors.New("is not gone")

// explain turns those of Helm's errors that would leave a user alone into
// sentences. All others say enough.
func (c *Client) explain(err error, o Options) error {
	undone := ""
	if o.Atomic {
		undone = "; the change was undone (--atomic)"
	}
	if timedOut(err) {
		return fmt.Errorf("%s %w after %s%s", ReleaseName, ErrNotReady, o.Timeout, undone)
	}
	if errors.Is(err, context.Canceled) && o.Atomic {
		return errors.New("interrupted" + undone)
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted; to go on, run %s", c.Command("upgrade"))
	}
	if strings.Contains(err.Error(), "invalid ownership metadata") {
		return fmt.Errorf("%w (it was not made by this release: manage it where it was made, delete it, "+
			"or make it this release's with --take-ownership)", err)
	}
	return err
}

// timedOut recognizes Helm's own deadline, which comes wrapped, or as text from a
// rate limiter.
func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), context.DeadlineExceeded.Error())
}

// Denied puts a refusal of the API server into words: who lacks which right, and
// what has it. Other errors it returns as they are.
func Denied(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsForbidden(err) {
		return err
	}
	_, what, found := strings.Cut(status.Status().Message, "is forbidden: ")
	if !found || !strings.HasPrefix(what, "User ") {
		return err // an admission policy, say, speaks for itself
	}
	return fmt.Errorf("no permission: u%s; it takes the rights of a cluster administrator (ClusterRole cluster-admin)", what[1:])
}

// kept reads the names out of the report of an uninstall, which is the only
// place where Helm names them: "[Kind] name" lines under a heading.
func kept(info string) []string {
	var names []string
	for line := range strings.Lines(info) {
		kind, name, ok := strings.Cut(strings.TrimSpace(line), "] ")
		if ok && strings.HasPrefix(kind, "[") {
			names = append(names, kind[1:]+"/"+name)
		}
	}
	return names
}
