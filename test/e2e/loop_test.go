//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// host is the machine under a cluster as its name server sees it: whoever asks
// at its address asks the laptop's own resolver of the moment, as Docker's name
// server does for a cluster in containers.
type host struct {
	p *lab.Laptop
	c net.PacketConn

	mu    sync.Mutex
	asked map[string]int
}

func (h *host) serve(t *testing.T) {
	buf := make([]byte, 4096)
	for {
		n, from, err := h.c.ReadFrom(buf)
		if err != nil {
			return
		}
		q := append([]byte(nil), buf[:n]...)
		go func() {
			if answer, err := h.ask(t.Context(), q); err == nil { // else CoreDNS hears nothing, as there
				_, _ = h.c.WriteTo(answer, from)
			}
		}()
	}
}

func (h *host) ask(ctx context.Context, q []byte) ([]byte, error) {
	m := new(dns.Msg)
	if err := m.Unpack(q); err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.asked[strings.ToLower(m.Question[0].Name)]++
	h.mu.Unlock()
	conf, err := dns.ClientConfigFromReader(strings.NewReader(h.p.Quiet("cat /etc/resolv.conf").Out))
	if err != nil || len(conf.Servers) == 0 {
		return nil, errors.Join(err, errors.New("no server"))
	}
	c, err := h.p.Dial(ctx, "udp", net.JoinHostPort(conf.Servers[0], "53"))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Write(q); err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	return buf[:n], err
}

func (h *host) times(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[strings.ToLower(name)]
}

// forwards has the cluster's name server ask addr for what is not its own, as
// long as the test.
func forwards(l *lab.Lab, addr string) {
	l.Helper()
	key := client.ObjectKey{Namespace: "kube-system", Name: "coredns"}
	var cm corev1.ConfigMap
	l.Must(l.Client.Get(l.Context(), key, &cm))
	before := cm.Data["Corefile"]
	set := func(ctx context.Context, text string) error {
		if err := l.Client.Get(ctx, key, &cm); err != nil {
			return err
		}
		cm.Data["Corefile"] = text
		if err := l.Client.Update(ctx, &cm); err != nil {
			return err
		}
		return l.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace("kube-system"), client.MatchingLabels{"k8s-app": "kube-dns"})
	}
	l.Cleanup(func() { l.Must(set(context.Background(), before)) })
	changed := strings.Replace(before, "cache 5", "forward . "+addr+"\n    cache 5", 1)
	changed = strings.Replace(changed, "ttl 5", "ttl 5\n        fallthrough in-addr.arpa", 1)
	if strings.Count(changed, "\n") != strings.Count(before, "\n")+2 {
		l.Fatalf("the Corefile is another:\n%s", before)
	}
	l.Must(set(l.Context(), changed))
}

// TestLoop: the cluster runs on the laptop, and its name server asks the laptop
// for what it does not know, which while it is connected asks the cluster. No
// question goes round.
func TestLoop(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	upgrade(l, "--set", "client.dns.includeSuffixes={.example.test}")
	alice := l.Laptop("alice")
	own := newResolver(t, alice, "127.0.0.53")
	var nodes corev1.NodeList
	l.Must(l.Client.List(t.Context(), &nodes))
	addr := net.JoinHostPort(nodes.Items[0].Status.Addresses[0].Address, "5300")
	c, err := l.Nodes[0].ListenUDP(addr)
	l.Must(err)
	t.Cleanup(func() { c.Close() })
	h := &host{p: alice, c: c, asked: map[string]int{}}
	go h.serve(t)
	forwards(l, addr)
	pod := l.Inside(l.Pod())

	ask := func(s *lab.Space, server, name string, qtype uint16) (*dns.Msg, error) {
		c, err := s.Dial(t.Context(), "udp", net.JoinHostPort(server, "53"))
		if err != nil {
			return nil, err
		}
		defer c.Close()
		m := new(dns.Msg)
		m.SetQuestion(name, qtype)
		got, _, err := (&dns.Client{Timeout: 5 * time.Second}).ExchangeWithConn(m, &dns.Conn{Conn: c})
		return got, err
	}
	// Before, a pod gets the laptop's names from the laptop.
	l.Until("the cluster's name server asks the laptop", func() error {
		got, err := ask(pod, "10.96.0.10", "before.example.test.", dns.TypeA)
		if err != nil || len(got.Answer) != 1 {
			return fmt.Errorf("%v, %w", got, err)
		}
		return nil
	})
	alice.Intercept("connect")
	_, server, _ := strings.Cut(strings.TrimSpace(alice.Shell("grep -m1 nameserver /etc/resolv.conf")), " ")

	for _, question := range []struct {
		name  string
		qtype uint16
		want  int
		round [2]bool // whether the cluster has to ask the laptop, if the laptop and if a pod asks
	}{
		{"%s.invalid.", dns.TypeA, dns.RcodeNameError, [2]bool{false, true}},                    // nobody's
		{"%s.example.test.", dns.TypeA, dns.RcodeSuccess, [2]bool{true, true}},                  // the cluster's to the laptop, the laptop's to the cluster
		{"%s.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, [2]bool{false, false}},         // the cluster's
		{"%s." + l.Namespace + ".svc.", dns.TypeA, dns.RcodeNameError, [2]bool{false, true}},    // a pod's spelling
		{"%s." + l.Namespace + ".", dns.TypeA, dns.RcodeNameError, [2]bool{false, true}},        // a short name
		{"%s.", dns.TypeA, dns.RcodeNameError, [2]bool{false, true}},                            // a shorter one
		{"7%[2]d.77.96.10.in-addr.arpa.", dns.TypePTR, dns.RcodeNameError, [2]bool{true, true}}, // an address of the Services, and of none
	} {
		for n, from := range []struct {
			who, server string
			space       *lab.Space
		}{{"laptop", server, alice.Space}, {"pod", "10.96.0.10", pod}} {
			name := strings.ReplaceAll(question.name, "%[2]d", fmt.Sprint(n))
			name = strings.ReplaceAll(name, "%s", "from-"+from.who)
			got, err := ask(from.space, from.server, name, question.qtype)
			if err != nil || got.Rcode != question.want {
				t.Errorf("%s asks for %s: %v, %v", from.who, name, got, err)
			}
			times := h.times(name)
			t.Logf("%s asks for %s: the cluster asked the laptop %d times", from.who, name, times)
			if times > 4 || times > 0 != question.round[n] { // A and AAAA, and each again
				t.Errorf("want %t, and not for ever", question.round[n])
			}
		}
	}
	if names := own.heard("example.test."); len(names) == 0 {
		t.Error("the laptop's own resolver was not asked")
	}
}
