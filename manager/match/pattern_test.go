package match

import (
	"regexp"
	"testing"
)

// What an expression begins with is found where that saves work.
func TestBeginning(t *testing.T) {
	for _, tt := range []struct {
		expression, text string
		whole            bool
	}{
		{"louise", "louise", true},
		{"^louise$", "louise", true},
		{`(\Alouise\z)`, "louise", true},
		{"lou(is)e", "louise", true},
		{"a{3}", "aaa", true},
		{`a\.b`, "a.b", true},
		{"louise.*", "louise", false},
		{"anna|andy", "an", false},
		{"(?i)louise", "", false},
		{"a(?i)b", "a", false},
		{"a^b", "a", false},
		{"a(^b)", "a", false},
		{"a$b", "a", false},
		{"(?m)^a$", "", false},
		{`a\x{fffd}`, "", false},
		{".*", "", false},
		{"^$", "", true},
		{`\Qa.b`, "a.b", true},
	} {
		p, err := compile(Condition{Op: Regexp, Value: tt.expression})
		if err != nil {
			t.Fatal(err)
		}
		if p.text != tt.text || (p.op == Exact) != tt.whole {
			t.Errorf("%s: %q, %t; want %q, %t", tt.expression, p.text, p.op == Exact, tt.text, tt.whole)
		}
	}
}

// FuzzPattern: a pattern meets what its expression matches from end to end.
func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"louise", "louise"}, {"(^a)b$|c", "ab"}, {"a\\x{fffd}", "a\xff"}, {"(?i)K", "\u212a"}, {"a{2}(b|)$", "aa"}, {"(?s).\xc3", "\n"}, {"^*^^a", "a"}, {"(a|b$)c", "bc"}, {`\Qa.b|`, "a.b|"}, {`\Qa`, "ab"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, expression, value string) {
		p, err := compile(Condition{Op: Regexp, Value: expression})
		if err != nil {
			return
		}
		re := regexp.MustCompile(expression)
		re.Longest() // of the matches at the beginning
		at := re.FindStringIndex(value)
		if got := p.meets([]byte(value)); got != (at != nil && at[0] == 0 && at[1] == len(value)) {
			t.Errorf("%q, %q: %t", expression, value, got)
		}
	})
}
