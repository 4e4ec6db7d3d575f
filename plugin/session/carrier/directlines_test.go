package carrier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// held keeps one write back, and sends it with the next one.
type held struct {
	net.Conn
	mu   sync.Mutex
	hold bool
	kept []byte
}

func (h *held) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hold {
		h.hold, h.kept = false, append(h.kept, b...)
		return len(b), nil
	}
	_, err := h.Conn.Write(append(h.kept, b...))
	h.kept = nil
	return len(b), err
}

// assign is a relay that gives the line that comes on a connection to an agent, and the agent:
// its first bytes arrive together with the relay's last ones.
func assign(c net.Conn, cert tls.Certificate, secret handshake.Secret, own *handshake.Identity) (*line.Conn, error) {
	below := &held{Conn: c}
	said, _, err := handshake.Accept(context.Background(), below, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }, handshake.ALPNOffer)
	if err != nil {
		return nil, err
	}
	hello, err := handshake.ReadLineHello(said)
	if err != nil {
		return nil, err
	}
	agent := handshake.RandomIdentity()
	certificates, err := agent.Certificate()
	if err != nil {
		return nil, err
	}
	pin, err := agent.Pin()
	if err != nil {
		return nil, err
	}
	session, err := own.Pin()
	if err != nil {
		return nil, err
	}
	if err := handshake.WriteWelcome(said, &handshake.Welcome{}); err != nil {
		return nil, err
	}
	if err := handshake.WriteLineKeepalive(said); err != nil {
		return nil, err
	}
	below.mu.Lock()
	below.hold = true
	below.mu.Unlock()
	if err := handshake.WriteLineAssigned(said, &secret, hello, &handshake.LineAssigned{Agent: pin, Pod: "shop/quote-1", Intercept: "shop/quote", InterceptUID: "i"}); err != nil {
		return nil, err
	}
	return line.Client(context.Background(), record.NewConn(below), certificates, session)
}

// TestDirectLines: no byte is lost where the TLS with the relay ends and that with the agent
// begins. Idle lines of another transport make room for direct ones.
func TestDirectLines(t *testing.T) {
	cert, own, secret := tunneltest.Certificate(t, "relay"), handshake.RandomIdentity(), handshake.NewSecret()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	authority := handshake.Authority{Roots: x509.NewCertPool(), Name: "relay"}
	authority.Roots.AddCert(leaf)
	agents := make(chan *line.Conn, 8)
	idle := make(chan net.Conn, 8)
	var mu sync.Mutex
	directly := false
	lines, err := NewLines(LinesConfig{Identity: own, Hello: handshake.Hello{Session: "alice", Secret: secret}, Log: slog.New(slog.DiscardHandler),
		Up: func() bool { return true },
		Dial: func(ctx context.Context) (net.Conn, error) {
			near, far := tunneltest.Pair(t)
			mu.Lock()
			defer mu.Unlock()
			if !directly {
				idle <- far
				return near, nil
			}
			go func() {
				c, err := assign(far, cert, secret, own)
				if err != nil {
					far.Close()
					return
				}
				agents <- c
			}()
			return handshake.DialOffer(ctx, near, own, authority)
		},
		Handler: func(_ context.Context, o *frame.Open, in tunnel.Incoming) error {
			near, far := tunneltest.Pair(t)
			go func() {
				io.Copy(far, far)
				far.Close()
			}()
			if err := in.Accept(); err != nil {
				return err
			}
			return in.Join(tunnel.NewTCP(near), nil)
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines.Run(ctx)
	}()
	for range idleLines {
		c := <-idle
		if _, err := handshake.ReadLineHello(c); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	directly = true
	mu.Unlock()
	lines.Move(func(c net.Conn) bool { return !IsDirect(c) })
	select {
	case c := <-agents:
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if err := frame.WriteOpen(c, &frame.Open{Intercept: "shop/quote", InterceptUID: "i", Session: "alice", Port: 8080}); err != nil {
			t.Fatal(err)
		}
		if v, _, err := frame.ReadAnswer(c); err != nil || v != frame.Accepted {
			t.Fatalf("verdict %v, %v", v, err)
		}
		said := []byte("hello")
		if _, err := c.Write(said); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, said); err != nil || string(said) != "hello" {
			t.Errorf("%q, %v", said, err)
		}
		if n := lines.Assigned(); n == 0 {
			t.Error("no line is assigned")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no direct line comes up")
	}
	cancel()
	<-ended
}
