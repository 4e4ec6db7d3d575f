package exchange

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

var (
	volatile = regexp.MustCompile(`(?i)(\r?\n(?:date|expires): )([^\r\n]*)`)
	status   = regexp.MustCompile(`HTTP/1\.[01] (\d{3})`)
)

// Mask replaces what differs from one answer to the next, and keeps every length.
func Mask(answer []byte) string {
	return string(volatile.ReplaceAllFunc(answer, func(field []byte) []byte {
		name, value, _ := bytes.Cut(field, []byte(": "))
		return append(append(bytes.Clone(name), ": "...), bytes.Repeat([]byte("*"), len(value))...)
	}))
}

// String tells an outcome in one line.
func (o Outcome) String() string {
	var codes []string
	for _, m := range status.FindAllStringSubmatch(o.Answer, -1) {
		if n := len(codes); n == 0 || codes[n-1] != m[1] {
			codes = append(codes, m[1])
		}
	}
	return fmt.Sprintf("[%s] %d bytes, %s", strings.Join(codes, " "), len(o.Answer), o.End)
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
