package frame

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		" two\r\n lines\t":       "two   lines",
		"\x1b[31mred\x1b[0m":     "[31mred[0m",
		"\xff\xfe not text":      "not text",
		"müsste \u202egehen":     "müsste gehen",
		strings.Repeat("ä", 300): strings.Repeat("ä", 256),
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzReason(f *testing.F) {
	f.Add(appendReason(nil, "no permission"))
	f.Add([]byte{0xff, 0xff, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readReason(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(s) > maxReason || !utf8.ValidString(s) || strings.ContainsAny(s, "\x1b\n\r\x00") {
			t.Fatalf("reason %q", s)
		}
		again, err := readReason(bytes.NewReader(appendReason(nil, s)))
		if err != nil || again != s {
			t.Fatalf("%q became %q, %v", s, again, err)
		}
	})
}
