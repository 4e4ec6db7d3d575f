package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// echo is a server at an address that alice may dial.
func (l *lineLab) echo() string {
	return l.listen(func(c net.Conn) {
		io.Copy(c, c)
		c.Close()
	})
}

func TestOutboundLine(t *testing.T) {
	l := newLineLab(t)
	echo := l.echo()
	l.relay.dns = echo
	c, h, _ := l.offer(l.keys, tunnel.Outbound)
	server, err := tunnel.NewLineServer(l.keys)
	if err != nil {
		t.Fatal(err)
	}
	j, err := tunnel.ReadLineJoined(c, l.keys, h, func() {})
	if err != nil {
		t.Fatal(err)
	}
	f, err := server.Accept(t.Context(), c, j)
	if err != nil {
		t.Fatal(err)
	}
	var s tunnel.Stream = f
	_, port, _ := net.SplitHostPort(echo)
	for _, x := range []struct {
		target string
		want   tunnel.Verdict
		reason string
	}{
		{echo, tunnel.Accepted, ""},
		{"127.0.0.1:1", tunnel.Refused, ""},
		{"127.0.0.2:" + port, tunnel.Denied, (&authz.DeniedError{User: "alice", Address: "127.0.0.2"}).Error()},
		{"quote.shop:80", tunnel.Denied, `"quote.shop:80" is not an address and a port`}, // names are the session's to resolve
		{tunnel.TargetDNS, tunnel.Accepted, ""},
		{"", tunnel.Denied, `"" is not an address and a port`},
		{echo, tunnel.Accepted, ""},
	} {
		next := make(chan tunnel.Stream, 1)
		f := s.(*tunnel.FlowConn)
		f.OnIdle(func(s tunnel.Stream) { next <- s })
		if err := tunnel.WriteOpen(s, &tunnel.Open{Target: x.target, Session: "alice", First: []byte("first ")}); err != nil {
			t.Fatal(err)
		}
		v, reason, err := tunnel.ReadAnswer(s)
		if err != nil || v != x.want || reason != x.reason {
			t.Fatalf("%s: %v, %q, %v, want %v, %q", x.target, v, reason, err, x.want, x.reason)
		}
		if x.want == tunnel.Accepted {
			io.WriteString(s, "second")
			s.CloseWrite()
			if b, err := io.ReadAll(s); err != nil || string(b) != "first second" {
				t.Fatalf("echo %q, %v", b, err)
			}
		} else {
			f.Refused()
		}
		s.Close()
		s = <-next
	}
}

// TestRefusal: what a program hears depends on what happened to the dial.
func TestRefusal(t *testing.T) {
	full := errors.New("too many open files")
	for _, c := range []struct {
		err, want error
	}{
		{syscall.ECONNREFUSED, tunnel.ErrRefused},
		{syscall.ECONNRESET, tunnel.ErrRefused},
		{syscall.ETIMEDOUT, tunnel.ErrTimedOut},
		{os.ErrDeadlineExceeded, tunnel.ErrTimedOut},
		{syscall.EHOSTUNREACH, tunnel.ErrUnreachable},
		{syscall.ENETUNREACH, tunnel.ErrUnreachable},
		{syscall.EPERM, tunnel.ErrUnreachable},
		{full, full},
	} {
		err := &net.OpError{Op: "dial", Err: fmt.Errorf("connect: %w", c.err)}
		if got := refusal(err); !errors.Is(got, c.want) || tunnel.Answered(got) != (c.want != full) {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
