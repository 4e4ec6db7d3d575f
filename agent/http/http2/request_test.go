package http2

import (
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// A cookie in many pieces is one field, and costs the memory of its bytes: a header block of
// a few kilobytes can have tens of thousands.
func TestCookieInPieces(t *testing.T) {
	const pieces, most = 5_000, 256 << 10
	fields := []hpack.HeaderField{field(":method", "GET"), field(":path", "/"), field("a", "b")}
	var want []string
	for _, text := range append([]string{"", "c=d"}, make([]string, pieces)...) {
		fields, want = append(fields, field("cookie", text), field("x", "")), append(want, text)
	}
	var q question
	r := q.ask(fields)
	var got []string
	for _, f := range r.Fields {
		if string(f.Name) == "cookie" {
			got = append(got, string(f.Value))
		}
	}
	if len(got) != 1 || got[0] != strings.Join(want, "; ") {
		t.Errorf("%d cookies", len(got))
	}
	if n := cap(q.memory); n > most {
		t.Errorf("%d bytes of memory", n)
	}
}
