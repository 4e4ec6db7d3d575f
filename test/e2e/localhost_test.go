//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestLocalhost6: programs that listen on localhost by its IPv6 address only are
// found, by TCP and by UDP, and add does not say that there are none.
func TestLocalhost6(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("ports.yaml")
	named, datagrams := l.Serving("many", "http"), l.Service("many", "dns")
	alice := l.Laptop("alice")
	ln, err := alice.Space.Listen("[::1]:0")
	l.Must(err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "answered by alice (laptop)")
	})}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	conn, err := alice.ListenUDP("[::1]:0")
	l.Must(err)
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(append([]byte("alice: "), buf[:n]...), from) // the caller asks again
		}
	}()
	o := alice.Intercept("add", "many", "--service", "many", "--port", fmt.Sprintf("%d:http", ln.Addr().(*net.TCPAddr).Port),
		"--port", fmt.Sprintf("%d:dns/udp", conn.LocalAddr().(*net.UDPAddr).Port))
	if strings.Contains(o.Err, "nothing listens") {
		t.Errorf("add says %s", o.Err)
	}
	l.Answers(named, "alice")
	if who, err := l.Nodes[0].AskUDP(t.Context(), datagrams); err != nil || who != "alice" {
		t.Errorf("datagrams are answered by %q, %v", who, err)
	}
}
