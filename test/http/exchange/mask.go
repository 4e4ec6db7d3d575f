package exchange

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

var status = regexp.MustCompile(`HTTP/1\.[01] (\d{3})`)

// Mask replaces what differs from one answer to the next: dates, and the boundaries of
// parts. It keeps their lengths. Frames of HTTP/2 after an upgrade are dropped.
func Mask(answer []byte) string {
	if head, _, found := bytes.Cut(answer, []byte("\r\n\r\n")); found && bytes.Contains(head, []byte("grade: h2c")) && bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		return string(head) + "\r\n\r\n<frames of HTTP/2>"
	}
	all := bytes.Clone(answer)
	for _, name := range []string{"\nDate: ", "\ndate: "} {
		each(all, name, func(value []byte) { hide(value) })
	}
	each(all, "boundary=", func(value []byte) {
		boundary := bytes.Clone(value)
		for at := bytes.Index(all, boundary); at >= 0 && len(boundary) > 0; at = bytes.Index(all, boundary) {
			hide(all[at : at+len(boundary)])
		}
	})
	return string(all)
}

// each calls f with what follows each text, up to the end of its line.
func each(all []byte, text string, f func(value []byte)) {
	for at := bytes.Index(all, []byte(text)); at >= 0; at = bytes.Index(all, []byte(text)) {
		all = all[at+len(text):]
		end := bytes.IndexAny(all, "\r\n")
		if end < 0 {
			end = len(all)
		}
		f(all[:end])
	}
}

func hide(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}

// String tells an outcome in one line.
func (o Outcome) String() string {
	var codes []string
	for _, m := range status.FindAllStringSubmatch(o.Answer, -1) {
		if n := len(codes); n == 0 || codes[n-1] != m[1] {
			codes = append(codes, m[1])
		}
	}
	end := o.End
	if o.reset {
		end += " with a reset"
	}
	return fmt.Sprintf("[%s] %d bytes, %s", strings.Join(codes, " "), len(o.Answer), end)
}

// Diff tells where two outcomes begin to differ.
func Diff(a, b Outcome) string {
	if a.Answer == b.Answer {
		return fmt.Sprintf("%s, and %s", a.End, b.End)
	}
	at := 0
	for at < min(len(a.Answer), len(b.Answer)) && a.Answer[at] == b.Answer[at] {
		at++
	}
	part := func(s string) string { return s[max(0, at-40):min(len(s), at+80)] }
	return fmt.Sprintf("from byte %d: %q, and %q", at, part(a.Answer), part(b.Answer))
}
