package agents

import (
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// After a failure, a namespace waits before its statuses are written again: conflictPause
// if the cache was too old for the write, failurePause otherwise, and twice as long after
// each further failure, up to maxPause. Each pause is shorter by up to a half, at random, so
// that replicas and namespaces do not come at the same time.
const (
	conflictPause = 50 * time.Millisecond
	failurePause  = time.Second
	maxPause      = time.Minute
)

// retryPause is the pause after a number of failures in a row, of which the last was err.
func retryPause(failures int, err error) time.Duration {
	pause := failurePause
	if apierrors.IsConflict(err) {
		pause = conflictPause
	}
	for ; failures > 1 && pause < maxPause; failures-- {
		pause *= 2
	}
	pause = min(pause, maxPause)
	return pause - rand.N(pause/2)
}

// settled says whether the statuses of a namespace could be written, and has them compared
// again after a pause if not.
func (w *statusWriter) settled(namespace string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		delete(w.failed, namespace)
		return
	}
	w.failed[namespace]++
	w.held[namespace] = true
	time.AfterFunc(retryPause(w.failed[namespace], err), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.held, namespace)
		w.mark(namespace)
	})
}
