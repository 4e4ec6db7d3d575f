//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// openPort is the node port that laptops of the embedded cluster reach.
const openPort = 30443

// TestDirect goes past the API server by a port of the node: requests come from and into the
// cluster with an agent of either kind. While that port is closed, requests go by the API
// server, and when it is open again, they go directly.
func TestDirect(t *testing.T) {
	l := lab.New(t, clusters)
	upgrade(l, "--set", "directAccess.type=NodePort,directAccess.nodePort="+strconv.Itoa(openPort))
	l.Until("the address is published", func() error {
		var cm corev1.ConfigMap
		err := l.Client.Get(l.Context(), client.ObjectKey{Namespace: "intercept-system", Name: "traffic-manager"}, &cm)
		if err == nil && !strings.Contains(cm.Data["direct.json"], ":"+strconv.Itoa(openPort)) {
			err = fmt.Errorf("direct.json is %q", cm.Data["direct.json"])
		}
		return err
	})
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	by := func(want string) func() error {
		return func() error {
			if s := alice.Status().Session; s.Transport != want || !s.Connected || want == "direct" && s.NotDirect != "" {
				return fmt.Errorf("transport %q, not direct because of %q; want %s", s.Transport, s.NotDirect, want)
			}
			return nil
		}
	}
	for _, kind := range []string{"ephemeral", "sidecar"} {
		t.Run(kind, func(t *testing.T) {
			alice.Intercept("add", "quote", "--port", program.To(""), "--inject", kind)
			l.Eventually(quote, "alice")
			l.Until("the session goes directly", by("direct"))
			l.Until("a line carries the requests", func() error {
				l.Answers(quote, "alice")
				if s := alice.Status().Session; s.Lines == 0 {
					return fmt.Errorf("status says %+v", s)
				}
				return nil
			})
			if kind == "ephemeral" {
				bulk(l, alice, quote)
				alice.Intercept("add", "quote", "--port", program.To("")) // again, in the echo's place
				l.Eventually(quote, "alice")
			}
			proxied(l, alice)
			alice.Intercept("leave", "quote")
			l.Eventually(quote, lab.Application)
		})
	}

	alice.Intercept("add", "quote", "--port", program.To(""))
	l.Eventually(quote, "alice")
	for _, verdict := range []string{"reject with tcp reset", "drop"} {
		closed := fmt.Sprintf("table inet direct { chain out { type filter hook output priority 0; tcp dport %d %s; }; }", openPort, verdict)
		if _, err := alice.Nft(closed); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = alice.Nft("delete table inet direct") }) // if not done below
		took := l.Within(20*time.Second, "the session goes by the API server: "+verdict, by("service-proxy"))
		l.Eventually(quote, "alice")
		out := alice.Intercept("status").Out
		if !strings.Contains(out, "not directly: ") {
			t.Errorf("status does not say why: %s", out)
		}
		t.Logf("%s: by the API server after %s\n%s", verdict, took.Round(time.Millisecond), out)
		if _, err := alice.Nft("delete table inet direct"); err != nil {
			t.Fatal(err)
		}
		took = l.Within(90*time.Second, "the session goes directly again", by("direct"))
		l.Answers(quote, "alice")
		t.Logf("directly again after %s", took.Round(time.Millisecond))
	}
	if out := alice.Intercept("check").Out; !strings.Contains(out, "directly") {
		t.Errorf("check says nothing of the direct way: %s", out)
	}
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
}

// sentTo are the bytes that leave a laptop for a port, by its nftables.
func sentTo(l *lab.Lab, p *lab.Laptop, name string) int64 {
	l.Helper()
	out, err := p.Nft("list", "counter", "inet", "counted", name)
	l.Must(err)
	var packets, bytes int64
	if _, text, found := strings.Cut(out, "packets "); found {
		_, err = fmt.Sscanf(text, "%d bytes %d", &packets, &bytes)
		l.Must(err)
	}
	return bytes
}

// bulk sends bytes to and fro through an intercept, and sees that they do not pass the API
// server.
func bulk(l *lab.Lab, p *lab.Laptop, addr string) {
	l.Helper()
	const size = 32 << 20
	_, err := p.Nft(fmt.Sprintf(`table inet counted { counter api {}; counter direct {}
		chain out { type filter hook output priority 0; tcp dport 6443 counter name api; tcp dport %d counter name direct; }; }`, openPort))
	l.Must(err)
	defer func() {
		_, err := p.Nft("delete table inet counted")
		l.Must(err)
	}()
	c := long(l, p, p.Listen(func(c net.Conn) { echo(c.(*net.TCPConn)) }), addr)
	go func() {
		_, _ = pour(c, size)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := drain(c)
	l.Must(err)
	api, directly := sentTo(l, p, "api"), sentTo(l, p, "direct")
	l.Logf("the laptop has sent %d bytes to the API server and %d directly, %d of the flow", api, directly, got.n)
	if got.n != size || directly < size || api > size/8 {
		l.Errorf("%d bytes came back; %d went to the API server, %d directly", got.n, api, directly)
	}
}

// proxied reaches the service from the laptop.
func proxied(l *lab.Lab, p *lab.Laptop) {
	l.Helper()
	for line := range strings.Lines(p.Intercept("connect", "--proxy").Out) {
		if proxy, ok := strings.CutPrefix(line, "export http_proxy="); ok {
			if code, body, err := visit(browser(p, strings.TrimSpace(proxy)), "http://quote"); err != nil || code != http.StatusOK {
				l.Errorf("out of the laptop: %d %q, %v", code, body, err)
			}
		}
	}
	p.Intercept("disconnect")
}
