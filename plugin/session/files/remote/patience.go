package remote

import (
	"context"
	"time"
)

// patience is for how long a call goes on after its program has got a signal. Most signals do
// not end a program: those of Go's scheduler, of timers, of profilers. Few programs expect
// that a file cannot be read because of one. A program that is to end waits this long for a
// pod that is out of reach.
const patience = 2 * time.Second

// Patient returns a context that is canceled some time after ctx is. The caller calls the
// function when it needs the context no more.
func Patient(ctx context.Context) (context.Context, context.CancelFunc) {
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		late := time.AfterFunc(patience, cancel)
		<-patient.Done()
		late.Stop()
	})
	return patient, func() {
		stop()
		cancel()
	}
}
