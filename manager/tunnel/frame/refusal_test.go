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

// An answer that is read is one that can be written again.
func FuzzAnswer(f *testing.F) {
	for _, err := range []error{ErrRefused, &DeniedError{"no permission"}} {
		var b bytes.Buffer
		WriteRefusal(&b, err)
		f.Add(b.Bytes())
	}
	f.Add([]byte{0xff, 0xff, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, reason, err := ReadAnswer(bytes.NewReader(b))
		if err != nil {
			return
		}
		if v == 0 || len(reason) > maxReason || !utf8.ValidString(reason) || strings.ContainsAny(reason, "\x1b\n\r\x00") {
			t.Fatalf("verdict %d, reason %q", v, reason)
		}
		var again bytes.Buffer
		if err := writeAnswer(&again, v, reason); err != nil {
			t.Fatal(err)
		}
		v2, reason2, err := ReadAnswer(&again)
		if err != nil || v2 != v || reason2 != reason {
			t.Fatalf("%d, %q became %d, %q, %v", v, reason, v2, reason2, err)
		}
	})
}
