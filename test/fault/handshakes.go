//go:build linux

package fault

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

const (
	handshakesName = "forged handshakes"
	knockers       = 16 // at the same time
)

// handshakes knocks at a traffic-manager with keys that are not the session's: with the name
// of alice's session, which is there, and with invented ones. None may be admitted, and
// alice's session goes on.
func handshakes(l *lab.Lab, n int) []Count {
	l.Helper()
	l = l.Another()
	alice := l.Laptop(user)
	alice.Intercept("connect", "--proxy")
	before := alice.Status().Session
	s := &scene{Lab: l}
	pods, err := s.managers(l.Context(), replicas)
	l.Must(err)
	gate := l.Gate(l.Nodes[0], &pods[0])
	shutOut := 0.0
	// The session that runs is newer than this knock, of which only the holder of its key is told.
	if refusal, err := gate.Knock(l.Context(), before.Session, alice.Identity()); !strings.Contains(refusal, "newer process") {
		l.Logf("the right key is not known: %q, %v", refusal, err)
		shutOut = 1
	}
	var accepted, refused, unanswered, next atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range knockers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n) && l.Context().Err() == nil; i = next.Add(1) {
				name := before.Session
				if i%2 == 0 {
					name = fmt.Sprintf("invented-%d", i)
				}
				switch refusal, err := gate.Knock(l.Context(), name, handshake.RandomIdentity()); {
				case err != nil:
					unanswered.Add(1)
				case refusal != "":
					refused.Add(1)
				default:
					accepted.Add(1)
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	lost := 0.0
	if after := alice.Status().Session; !after.Connected || after.PID != before.PID {
		lost = 1
	}
	silent := 0.0
	if refused.Load() == 0 {
		silent = 1
	}
	return []Count{
		{Name: handshakesName + ", the right key not known", Value: shutOut, Promise: true},
		{Name: handshakesName + ", none was refused", Value: silent, Promise: true},
		{Name: handshakesName + ", accepted", Value: float64(accepted.Load()), Promise: true},
		{Name: handshakesName + ", refused", Value: float64(refused.Load()), Limit: NoLimit},
		{Name: handshakesName + ", cut off without an answer", Value: float64(unanswered.Load()), Limit: NoLimit},
		{Name: handshakesName + ", in a second", Value: float64(n) / took.Seconds(), Limit: NoLimit},
		{Name: handshakesName + ", sessions lost", Value: lost, Promise: true},
	}
}
