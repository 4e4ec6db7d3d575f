//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// gateway stands between a laptop and the API server, and cuts connections on
// which nothing moved for as long as idle, in either direction.
func gateway(l *lab.Lab, p *lab.Laptop, idle time.Duration) {
	l.Helper()
	ln, err := p.Space.Listen("127.0.0.1:0")
	l.Must(err)
	l.Cleanup(func() { ln.Close() })
	host := p.Config().Host
	serve := func(near net.Conn) {
		defer near.Close()
		far, err := p.Dial(context.Background(), "tcp", strings.TrimPrefix(host, "https://"))
		if err != nil {
			return
		}
		defer far.Close()
		cut := time.AfterFunc(idle, func() { near.Close(); far.Close() })
		defer cut.Stop()
		move := func(to, from net.Conn) {
			buf := make([]byte, 32<<10)
			for {
				n, err := from.Read(buf)
				cut.Reset(idle)
				if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
					return
				}
			}
		}
		go func() { move(far, near); far.Close() }()
		move(near, far)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	text, err := os.ReadFile(p.Kubeconfig)
	l.Must(err)
	p.Kubeconfig = filepath.Join(l.TempDir(), "kubeconfig")
	l.Must(os.WriteFile(p.Kubeconfig, []byte(strings.ReplaceAll(string(text), host, "https://"+ln.Addr().String())), 0o600))
}

// TestIdle: connections on which nothing moves outlive a gateway that cuts what is
// idle for half a minute, to the laptop and from it, on lines and on carriers.
func TestIdle(t *testing.T) {
	const idle = 30 * time.Second
	l := lab.New(t, clusters)
	l.AllowPortForward()
	l.Apply("quote.yaml")
	l.Serving("quote", "http")
	for _, transport := range []string{"service-proxy", "port-forward"} {
		alice := l.Laptop(map[string]string{"service-proxy": "alice", "port-forward": "bob"}[transport])
		gateway(l, alice, idle)
		program := alice.Listen(func(c net.Conn) {
			defer c.Close()
			_, _ = io.Copy(c, c)
		})
		alice.Intercept("add", "quote", "--transport", transport, "--port", program.To("http"))
		l.Until("agents have lines", func() error {
			if n := alice.Status().Session.Lines; n == 0 {
				return errors.New("none")
			}
			return nil
		})
		c, err := l.Nodes[0].Dial(t.Context(), "tcp", net.JoinHostPort(l.Pod().Status.PodIP, "8080"))
		l.Must(err)
		defer c.Close()
		says := func(text string) {
			t.Helper()
			l.Must(c.SetDeadline(time.Now().Add(lab.Patience)))
			_, err := fmt.Fprintln(c, text)
			l.Must(err)
			buf := make([]byte, len(text)+1)
			if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text+"\n" {
				t.Fatalf("%s: %q, %v", transport, buf, err)
			}
		}
		says("first")
		l.Must(c.SetReadDeadline(time.Now().Add(idle + idle/2)))
		if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s: an idle connection ends: %v", transport, err)
		}
		says("last")
		alice.Intercept("leave", "quote")
	}
}
