package meter

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// nameServer answers names below "there." and returns its address.
func nameServer(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		code := dns.RcodeNameError
		if strings.HasSuffix(q.Question[0].Name, "there.") {
			code = dns.RcodeSuccess
		}
		_ = w.WriteMsg(m.SetRcode(q, code))
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return c.LocalAddr().String()
}

func TestNames(t *testing.T) {
	server := nameServer(t)
	if l, err := Cached(t.Context(), server, "a.there", 2, 10*time.Millisecond); err != nil || l.Count == 0 {
		t.Errorf("Cached: %+v, %v", l, err)
	}
	if l, err := Uncached(t.Context(), server, "there", 5, time.Minute); err != nil || l.Count != 5 {
		t.Errorf("Uncached: %+v, %v", l, err)
	}
	if _, err := Uncached(t.Context(), server, "elsewhere", 5, time.Minute); err == nil || !strings.Contains(err.Error(), "NXDOMAIN") {
		t.Errorf("names that do not exist: %v", err)
	}
}
