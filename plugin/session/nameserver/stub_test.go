package nameserver

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"
)

// Go's own resolver takes the answers. It uses the search list of the machine
// that runs the test, so all names end with a dot but the last.
func TestGoResolver(t *testing.T) {
	w := newWorld(t, nil)
	for _, network := range []string{"udp", "tcp"} {
		r := &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, w.addr)
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for name, want := range map[string][]string{
			"hello.":           {"10.96.0.7"},
			"Hello.default.":   {"10.96.0.7"},
			"both.shop.svc.":   {"10.96.0.9", "fd00::9"},
			"outside.shop.":    {"192.0.2.99"},
			"api.example.com.": {"10.96.0.8"},
			"www.example.com.": {"192.0.2.1"},
			"web.dev":          {"192.0.2.2"},
		} {
			got, err := r.LookupHost(ctx, name)
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s by %s: %q, %v, want %q", name, network, got, err, want)
			}
		}
		var missing *net.DNSError
		if got, err := r.LookupHost(ctx, "no.svc."); !errors.As(err, &missing) || !missing.IsNotFound {
			t.Errorf("%q, %v", got, err)
		}
		if _, srv, err := r.LookupSRV(ctx, "sql", "tcp", "db.shop."); err != nil || len(srv) != 1 || srv[0].Port != 5432 {
			t.Errorf("%v, %v", srv, err)
		}
		if got, err := r.LookupAddr(ctx, "10.96.0.7"); err != nil || !slices.Equal(got, []string{"hello.default.svc.cluster.local."}) {
			t.Errorf("%q, %v", got, err)
		}
		if got, err := r.LookupTXT(ctx, "db.shop."); err != nil || !slices.Equal(got, []string{"some text"}) {
			t.Errorf("%q, %v", got, err)
		}
	}
}
