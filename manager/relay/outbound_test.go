package relay

import (
	"io"
	"net"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

// echo is a server at an address that alice may dial.
func (l *lineLab) echo() string {
	return l.listen(func(c net.Conn) {
		io.Copy(c, c)
		c.Close()
	})
}

// outboundLine is a line on which alice's session opens flows. It ends with the test.
func (l *lineLab) outboundLine() *line.Conn {
	l.t.Helper()
	c, h, _ := l.offer(secret, handshake.Outbound)
	server, err := line.NewServer(ofAlice)
	if err != nil {
		l.t.Fatal(err)
	}
	j, err := handshake.ReadLineAssigned(c, &secret, h, func() {})
	if err != nil {
		l.t.Fatal(err)
	}
	f, err := server.Accept(l.t.Context(), c, j)
	if err != nil {
		l.t.Fatal(err)
	}
	return f
}

func TestOutboundLine(t *testing.T) {
	l := newLineLab(t)
	echo := l.echo()
	l.relay.cfg.NameServer = echo
	var s tunnel.Stream = l.outboundLine()
	_, port, _ := net.SplitHostPort(echo)
	for _, x := range []struct {
		target string
		want   frame.Verdict
		reason string
	}{
		{echo, frame.Accepted, ""},
		{"127.0.0.1:1", frame.Refused, ""},
		{"127.0.0.2:" + port, frame.Denied, (&authz.DeniedError{User: "alice", Address: "127.0.0.2"}).Error()},
		{"quote.shop:80", frame.Denied, `"quote.shop:80" is not an address and a port`}, // names are the session's to resolve
		{frame.TargetDNS, frame.Accepted, ""},
		{"", frame.Denied, `"" is not an address and a port`},
		{echo, frame.Accepted, ""},
	} {
		next := make(chan tunnel.Stream, 1)
		f := s.(*line.Conn)
		f.OnIdle(func(s tunnel.Stream) { next <- s })
		if err := frame.WriteOpen(s, &frame.Open{Kind: frame.Dialed, Target: x.target, Session: "alice", First: []byte("first ")}); err != nil {
			t.Fatal(err)
		}
		v, reason, err := frame.ReadAnswer(s)
		if err != nil || v != x.want || reason != x.reason {
			t.Fatalf("%s: %v, %q, %v, want %v, %q", x.target, v, reason, err, x.want, x.reason)
		}
		if x.want == frame.Accepted {
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
