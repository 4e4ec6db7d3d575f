package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// Of connections that say nothing, the oldest make room. Whoever says what he wants is served,
// from the same address too, and so is a carrier that is up.
func TestStrangersMakeRoom(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Upgrade") == "" {
			io.WriteString(w, "web")
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		budget.VisitOf(q.Context()).Known() // as the relay does once it knows the session
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		io.Copy(c, c)
		c.Close()
	}), http.NotFoundHandler())
	carrier, err := tls.Dial("tcp", s.Listen, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer carrier.Close()
	io.WriteString(carrier, "GET / HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	answers := bufio.NewReader(carrier)
	if r, err := http.ReadResponse(answers, nil); err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", r, err)
	}

	silent := crowd(t, s.Listen)
	if got := over(t, s.Listen, "http/1.1", tls.Certificate{}); got != "web" {
		t.Errorf("beside 600 silent connections a request is answered: %s", got)
	}
	io.WriteString(carrier, "still here\n")
	if line, err := answers.ReadString('\n'); line != "still here\n" {
		t.Errorf("the carrier says %q, %v", line, err)
	}
	if n := s.Budget.Refusals()[budget.Refusal{Peer: budget.Stranger, Reason: "connections"}]; n < 88 {
		t.Errorf("%d connections had to make room", n)
	}
	for _, c := range silent {
		c.Close()
	}
	forgotten(t, s)
}

// forgotten waits until no connection is counted any more that is closed.
func forgotten(t *testing.T, s *Server) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); s.Budget.Strangers.Len() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are counted that are closed", s.Budget.Strangers.Len())
		}
	}
}

// The agents of one pod use up their connections, and another pod's do not notice.
func TestConnectionsOfAgents(t *testing.T) {
	s := start(t, http.NotFoundHandler(), http.NotFoundHandler())
	full := 0
	for ; ; full++ { // as 4096 real connections would
		if _, err := s.Budget.Connections.Take("shop/quote-1"); err != nil {
			break
		}
	}
	for pod, want := range map[string]string{"quote-1": "", "quote-2": "flow"} {
		if got := over(t, s.ListenAgents, handshake.ALPNFlow, agentCert(t, s, pod)); got != want {
			t.Errorf("beside %d connections of shop/quote-1, %s has %q", full, pod, got)
		}
	}
}

// Whoever shows no certificate can do no more than enroll, and not for long.
func TestAgentWithoutCertificate(t *testing.T) {
	s := start(t, http.NotFoundHandler(), http.NotFoundHandler())
	for protocol, want := range map[string]string{handshake.ALPNFlow: "", handshake.ALPNLine: "", handshake.ALPNAgent: "Unimplemented"} {
		if got := over(t, s.ListenAgents, protocol, tls.Certificate{}); got != want {
			t.Errorf("%s: %q", protocol, got)
		}
	}
	forgotten(t, s)
}

// pipes serves connections in memory with a handler, on the clock of the test.
func pipes(t *testing.T, h http.Handler) (dial func() net.Conn) {
	t.Helper()
	s := &Server{Log: slog.New(slog.DiscardHandler)}
	w, q := s.http(h), newQueue(&net.TCPAddr{})
	go w.serve(q)
	t.Cleanup(func() {
		w.Close()
		time.Sleep(time.Second) // http.Server waits a little after an answer
	})
	return func() net.Conn {
		client, server := net.Pipe()
		go q.put(server)
		return client
	}
}

// A body that does not come holds nothing for longer than ten seconds.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		read := make(chan error, 1)
		c := pipes(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			_, err := io.ReadAll(q.Body)
			read <- err
		}))()
		defer c.Close()
		go io.WriteString(c, "POST /inject HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000\r\n\r\n{")
		go io.Copy(io.Discard, c)
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the body ended with %v", err)
		}
		if took := time.Since(began); took > shakeTimeout {
			t.Errorf("it was waited for %s", took)
		}
	})
}

// A connection with nothing to do is closed, and one that a handler has taken over is not,
// whatever the deadlines of requests are.
func TestStreamsLiveOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := pipes(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.Header.Get("Upgrade") == "" {
				return
			}
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}))
		idle := dial()
		go io.WriteString(idle, "GET / HTTP/1.1\r\nHost: m\r\n\r\n")
		began := time.Now()
		io.Copy(io.Discard, idle)
		if took := time.Since(began); took < idleTimeout || took > 2*idleTimeout {
			t.Errorf("an idle connection was closed after %s", took)
		}
		stream := dial()
		defer stream.Close()
		io.WriteString(stream, "GET / HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		for range 3 {
			time.Sleep(time.Hour)
			if _, err := io.WriteString(stream, "byte"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(stream, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A request with an endless head is refused.
func TestLargeHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := pipes(t, http.NotFoundHandler())()
		defer c.Close()
		go io.WriteString(c, "GET / HTTP/1.1\r\nHost: m\r\nX: "+strings.Repeat("x", 2*maxHead)+"\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%v, %v", r, err)
		}
	})
}

// crowd makes 600 connections to an address that say nothing, of which the oldest has to make
// room. They end with the test.
func crowd(t *testing.T, address string) (silent []net.Conn) {
	t.Helper()
	for range 600 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		silent = append(silent, c)
	}
	silent[0].SetReadDeadline(time.Now().Add(5 * time.Second)) // less than shakeTimeout
	if _, err := silent[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest of 600 connections: %v", err)
	}
	return silent
}
