package relay

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/patience"
)

// memoryStream is a stream without a socket, since a socket does not know
// simulated time.
type memoryStream struct{ net.Conn }

func (s memoryStream) CloseWrite() error { return s.Close() }
func (s memoryStream) Reset()            { s.Close() }

// answering is a dial that reaches a relay which answers with v.
func answering(v frame.Verdict) dial {
	return func(context.Context, upstream) (tunnel.Stream, error) {
		near, far := net.Pipe()
		go func() {
			if _, err := frame.ReadOpen(far); err == nil {
				frame.WriteVerdict(far, v)
			}
		}()
		return memoryStream{near}, nil
	}
}

// silent is a dial that reaches a relay which reads and does not answer.
func silent(context.Context, upstream) (tunnel.Stream, error) {
	near, far := net.Pipe()
	go frame.ReadOpen(far)
	return memoryStream{near}, nil
}

// gone is a dial to an address where nothing listens.
func gone(context.Context, upstream) (tunnel.Stream, error) { return nil, syscall.ECONNREFUSED }

// dropping is a dial whose packets get lost.
func dropping(ctx context.Context, _ upstream) (tunnel.Stream, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Whatever fails, one flow waits for it and the next ones do not.
func TestOpenPassesByWhatFails(t *testing.T) {
	verdict := func(v frame.Verdict) func(error) bool {
		return func(err error) bool {
			var e *VerdictError
			return errors.As(err, &e) && e.Verdict == v
		}
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	anything := func(err error) bool { return err != nil }
	for _, c := range []struct {
		name          string
		dial          dial
		away          bool // the session has no relay
		wait          time.Duration
		first, others func(error) bool
	}{
		{"refused", answering(frame.Refused), false, 0, verdict(frame.Refused), verdict(frame.Refused)},
		{"no session", answering(frame.NoSession), false, 0, verdict(frame.NoSession), verdict(frame.NoSession)},
		{"denied", answering(frame.Denied), false, 0, verdict(frame.Denied), verdict(frame.Denied)},
		{"relay is silent", silent, false, patience.Quiet, is(context.DeadlineExceeded), is(ErrSilent)},
		{"relay is gone", gone, false, 0, is(syscall.ECONNREFUSED), is(ErrNoRelay)},
		{"relay drops packets", dropping, false, dialTimeout, anything, is(ErrNoRelay)},
		{"laptop is away", gone, true, 0, is(ErrNoRelay), is(ErrNoRelay)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOpener(t.Context(), c.dial)
				owner := &Owner{Relays: []string{"relay"}, Session: "s"}
				if c.away {
					owner.Relays = nil
				}
				open := func() (time.Duration, error) {
					begun := time.Now()
					_, err := o.Open(t.Context(), owner, &frame.Open{})
					return time.Since(begun), err
				}
				if took, err := open(); took != c.wait || !c.first(err) {
					t.Errorf("the first flow waited %v, not %v: %v", took, c.wait, err)
				}
				for range 5 {
					if took, err := open(); took != 0 || !c.others(err) {
						t.Errorf("a later flow waited %v: %v", took, err)
					}
				}
			})
		})
	}
}

// slow is a dial that takes as long as that until the relay has shaken hands.
func slow(d time.Duration, then dial) dial {
	return func(ctx context.Context, u upstream) (tunnel.Stream, error) {
		select {
		case <-time.After(d):
			return then(ctx, u)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// However long a burst's handshakes take in all, none of its flows gives up while they
// succeed.
func TestOpenWaitsWhileHandshakesSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOpener(t.Context(), slow(3*time.Second, answering(frame.Accepted)))
		begun := time.Now()
		burst(t, o, "relay", 20*handshakes)
		if took := time.Since(begun); took < 2*slotTimeout {
			t.Errorf("the burst took %v: this test does not wait for slots", took)
		}
	})
}

// A flow that waits for a slot gives up when no handshake succeeds.
func TestSlotEndsWithoutHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOpener(t.Context(), nil)
		for range cap(o.slots) {
			o.slots <- struct{}{}
		}
		begun := time.Now()
		if _, err := o.slot(t.Context(), "relay"); err == nil || time.Since(begun) != slotTimeout {
			t.Errorf("the wait ended after %v with %v", time.Since(begun), err)
		}
	})
}

// A session that answers one flow a second is busy: the others wait for it.
func TestOpenWaitsWhileTheSessionAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := make(chan struct{}, 1)
		o := newOpener(t.Context(), func(context.Context, upstream) (tunnel.Stream, error) {
			near, far := net.Pipe()
			go func() {
				if _, err := frame.ReadOpen(far); err == nil {
					turn <- struct{}{}
					time.Sleep(time.Second)
					<-turn
					frame.WriteVerdict(far, frame.Accepted)
				}
			}()
			return memoryStream{near}, nil
		})
		burst(t, o, "relay", 8)
	})
}
