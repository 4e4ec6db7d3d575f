package preview

import (
	"net"
	"strings"
	"testing"
)

// FuzzHost: whatever a visitor calls the host, a preview is there under its own name alone.
func FuzzHost(f *testing.F) {
	s, _ := newServer(f, intercept(nil))
	for _, at := range []string{host, host + ":443", strings.ToUpper(host), host + ".", "." + host, "a." + host, "[::1]:80", "", ":", host + ":a:b"} {
		f.Add(at)
	}
	f.Fuzz(func(t *testing.T, at string) {
		o, err := s.at(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		bare := at
		if h, _, err := net.SplitHostPort(at); err == nil {
			bare = h
		}
		if known := strings.EqualFold(strings.Trim(bare, "[]"), host); (o != nil) && !known {
			t.Errorf("%q leads to the preview", at)
		}
		if o == nil && (at == host || at == host+":443") {
			t.Errorf("%q leads nowhere", at)
		}
	})
}
