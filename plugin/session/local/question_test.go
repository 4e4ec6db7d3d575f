package local

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// slow is a program that takes as long as the probe waits to answer.
type slow struct {
	says  answer
	asked atomic.Int32
}

func (s *slow) probe(ctx context.Context) (answer, error) {
	s.asked.Add(1)
	select {
	case <-time.After(patience):
		return s.says, nil
	case <-ctx.Done():
		return silence, ctx.Err()
	}
}

// TestSilence: a program that is silent, as in a debugger, is asked once for all flows that
// begin, and not again for a while.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v version
		p := &slow{says: silence}
		flows := func(n int, wait time.Duration, asked int32) {
			t.Helper()
			began, over := time.Now(), make(chan error)
			for range n {
				go func() {
					http1, err := v.ask(t.Context(), p.probe)
					if http1 {
						err = errors.New("HTTP/1.1")
					}
					over <- err
				}()
			}
			for range n {
				if err := <-over; err != nil {
					t.Error(err)
				}
			}
			if took := time.Since(began); took != wait || p.asked.Load() != asked {
				t.Errorf("%d flows waited for %v and asked %d times, want %v and %d", n, took, p.asked.Load(), wait, asked)
			}
		}
		flows(20, patience, 1)
		flows(20, 0, 1)
		time.Sleep(quiet)
		flows(20, patience, 2)
		v.forget() // a connection was refused
		flows(1, patience, 3)
		if v.flows != 61 {
			t.Errorf("%d flows", v.flows)
		}
	})
}

// TestLeaveWhileAsked: the end of a flow does not wait for an answer.
func TestLeaveWhileAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := version{flows: 1}
		p := &slow{says: inHTTP1}
		go v.ask(t.Context(), p.probe)
		synctest.Wait()
		began := time.Now()
		if v.leave(); time.Since(began) != 0 {
			t.Errorf("it took %v", time.Since(began))
		}
		time.Sleep(patience) // the question ends in the test
	})
}

// TestDoubtWhileAsked: what a program answered before a doubt is not believed after it.
func TestDoubtWhileAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v version
		before, after := &slow{says: inHTTP1}, &slow{says: inHTTP2}
		first := make(chan bool)
		go func() {
			http1, _ := v.ask(t.Context(), before.probe)
			first <- http1
		}()
		synctest.Wait()
		v.forget()
		if http1, err := v.ask(t.Context(), after.probe); http1 || err != nil {
			t.Errorf("%v, %v", http1, err)
		}
		if !<-first {
			t.Error("the flow before it got another answer")
		}
		if http1, err := v.ask(t.Context(), before.probe); http1 || err != nil || v.flows != 2 {
			t.Errorf("%v, %v, %d flows", http1, err, v.flows)
		}
	})
}

// TestGivenUp: a flow that does not wait for the answer is none.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v version
		p := &slow{says: inHTTP2}
		ctx, cancel := context.WithTimeout(t.Context(), patience/2)
		defer cancel()
		if _, err := v.ask(ctx, p.probe); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(patience)
		if _, err := v.ask(t.Context(), p.probe); err != nil || p.asked.Load() != 2 || v.flows != 1 {
			t.Errorf("%v, asked %d times, %d flows", err, p.asked.Load(), v.flows)
		}
		v.leave()
	})
}

// TestHTTP2OnlyInTLS: a program that speaks HTTP/2 only in TLS takes the place of one that
// speaks HTTP/1.1. The flow that shows it is refused, and the next one is served.
func TestHTTP2OnlyInTLS(t *testing.T) {
	cert := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	p := run(t, "127.0.0.1:0", cert.Clone(), http1)
	table := served(t, p.Addr(), func(s *v1alpha1.InterceptSpec) { s.Ports[0].LocalTLS = true })
	want := calls(t, table)
	want("HTTP/1.1", nil)
	p.server.Close()
	strict := cert.Clone()
	strict.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Contains(h.SupportedProtos, alpnHTTP2) {
			return nil, errors.New("the client does not speak HTTP/2")
		}
		return nil, nil
	}
	run(t, p.Addr().String(), strict, http2)
	want("", frame.ErrRefused)
	want("HTTP/2.0", nil)
}

// TestProgramOfAnotherNetwork: what is known of one program does not hold for one in another
// network, whose address is the same.
func TestProgramOfAnotherNetwork(t *testing.T) {
	e, at := newEntry(&v1alpha1.Intercept{}), endpoint{localhost4, 80, frame.TCP}
	e.version(at).known = inHTTP1
	if e.setProgram(state.Program{Socket: "a"}); e.version(at).holds() {
		t.Error("it holds")
	}
}
