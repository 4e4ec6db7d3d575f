package forward

import (
	"bytes"
	"testing"
)

// What is kept of a name is a short token in lower case (RFC 9110), whatever a caller sends.
func FuzzLowered(f *testing.F) {
	for _, name := range []string{"X-User", "", "a b", "naïve", "x\r\ny", "a:b", "0123456789012345678901234567890123456789012345678901234567890123456789", "!#$%&'*+-.^_`|~"} {
		f.Add([]byte(name))
	}
	f.Fuzz(func(t *testing.T, name []byte) {
		var s seen
		got := lowered(name, &s.lower)
		if len(got) == 0 {
			return
		}
		if len(got) > maxHeaderName || !bytes.Equal(got, bytes.ToLower(name)) {
			t.Errorf("%q is kept as %q", name, got)
		}
		for _, c := range got {
			if token := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0; !token {
				t.Errorf("%q is kept as %q", name, got)
			}
		}
	})
}
