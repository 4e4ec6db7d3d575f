package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

func TestFlowsOnALine(t *testing.T) {
	l := newLineLab(t)
	l.serve()
	c, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &quote)
	if err != nil {
		t.Fatal(err)
	}
	var s tunnel.Stream = c
	sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	for _, port := range []uint16{8080, 1, 8080} { // the refusal in between leaves the line alone
		next := make(chan tunnel.Stream, 1)
		f := s.(*line.Conn)
		f.OnIdle(func(s tunnel.Stream) { next <- s })
		v := flow(t, s, frame.Open{Port: port, First: []byte("first ")})
		if port == 1 {
			if v != frame.Refused {
				t.Fatalf("verdict %v", v)
			}
			f.Refused()
		} else {
			if v != frame.Accepted {
				t.Fatalf("verdict %v", v)
			}
			go s.Write(sent)
			got := make([]byte, len("first ")+len(sent))
			if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got[6:], sent) || string(got[:6]) != "first " {
				t.Fatalf("echo of %d bytes is not the same, %v", len(got), err)
			}
			if err := s.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("after the end: %d bytes, %v", n, err)
			}
		}
		s.Close()
		select {
		case s = <-next:
		default:
			t.Fatal("the line does not serve another flow")
		}
	}
	if v := flow(t, s, frame.Open{Port: 8080, InterceptUID: "another"}); v != frame.Denied {
		t.Errorf("a flow of another intercept: %v", v)
	}
}

func TestLinesEndWithTheSession(t *testing.T) {
	l := newLineLab(t)
	l.serve()
	c, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &quote)
	if err != nil {
		t.Fatal(err)
	}
	l.session.cancel()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("read on a line of an ended session: %v", err)
	}
}

func TestLinesEndWithTheRight(t *testing.T) {
	l := newLineLab(t)
	l.serve()
	c, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &quote)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.objects.Delete(t.Context(), &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote"}}); err != nil {
		t.Fatal(err)
	}
	l.relay.cfg.Planner.Changed()
	l.session.lines.closeAssigned(func(x *assignedLine) bool { return !l.relay.mayReach(l.session, x.pod, x.request) })
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("read on a line that is not allowed any more: %v", err)
	}
}

func TestWhoGetsNoLine(t *testing.T) {
	l := newLineLab(t)
	other := quote
	other.InterceptUID = "another"
	nobody := quote
	nobody.Session = "bob"
	for _, c := range []struct {
		name    string
		pod     pki.Pod
		request handshake.LineRequest
		want    frame.Verdict
	}{
		{"no idle line", quotePod, quote, frame.NoLine},
		{"another pod", pki.Pod{Namespace: "shop", Name: "quote-1", UID: "older"}, quote, frame.Denied},
		{"another intercept", quotePod, other, frame.Denied},
		{"a session without carriers", quotePod, nobody, frame.NoSession},
	} {
		_, err := line.Dial(t.Context(), l.agents, l.agent(c.pod), &c.request)
		var no *line.NoLineError
		if !errors.As(err, &no) || no.Verdict != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestForgedOffersAreRefused(t *testing.T) {
	l := newLineLab(t)
	if _, _, w := l.offer(handshake.NewSecret(), handshake.Inbound); w.Refusal == "" {
		t.Error("a line of somebody without the secret is welcome")
	}
}

// An impostor in between, who has stolen an offered line, is found out by the
// agent: he does not hold the session's key.
func TestAgentKnowsTheSession(t *testing.T) {
	l := newLineLab(t)
	c, h, _ := l.offer(secret, handshake.Inbound)
	impostor, err := line.NewServer(handshake.RandomIdentity())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if j, err := handshake.ReadLineAssigned(c, &secret, h, func() {}); err == nil {
			impostor.Accept(context.Background(), c, j)
		}
		c.Close()
	}()
	if _, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &quote); err == nil {
		t.Error("the agent takes an impostor for the session")
	}
}

// What is not the agent that the relay named is found out by the session.
func TestSessionKnowsTheAgent(t *testing.T) {
	l := newLineLab(t)
	c, h, _ := l.offer(secret, handshake.Inbound)
	server, err := line.NewServer(ofAlice)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		j, err := handshake.ReadLineAssigned(c, &secret, h, func() {})
		if err == nil {
			j.Agent[0]++ // another one than who comes
			_, err = server.Accept(context.Background(), c, j)
		}
		c.Close()
		done <- err
	}()
	f, err := line.Dial(t.Context(), l.agents, l.agent(quotePod), &quote)
	if err == nil {
		f.Reset()
	}
	if err := <-done; err == nil {
		t.Error("the session takes another agent for the one that was named")
	}
}
