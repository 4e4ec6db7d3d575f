package match

import (
	"regexp"
	"slices"
	"strings"
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

// Expressions that stand for few texts are written out.
func TestTexts(t *testing.T) {
	for expression, want := range map[string][]string{
		"louise": {"louise"}, "anna|andy|": {"", "andy", "anna"}, "^(a|b)c?$": {"a", "ac", "b", "bc"}, "^a$|^b$": {"a", "b"}, "a{2,3}": {"aa", "aaa"},
		"[a-c]": {"a", "b", "c"}, "^$": {""}, "a|a": {"a"}, "[0-9][0-9]": nil, "a|b.*": nil, "(?i)louise|b": nil, "(a$)b": nil, "a(^b|c)": nil, "[^a]": nil, `a|\x{fffd}`: nil,
	} {
		p, err := compile(Condition{Op: Regexp, Value: expression})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.all(); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%s: %q, want %q", expression, got, want)
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
		if all := p.all(); all != nil && slices.Contains(all, value) != p.meets([]byte(value)) {
			t.Errorf("%q, %q: the texts are %q", expression, value, all)
		}
		if strings.HasPrefix(value, p.text) && p.open && !strings.Contains(value, "\n") && !p.meets([]byte(value)) {
			t.Errorf("%q, %q: it is not open", expression, value)
		}
		if same, err := compile(Condition{Op: Regexp, Value: canonical(expression)}); err != nil || same.meets([]byte(value)) != p.meets([]byte(value)) {
			t.Errorf("%q, %q: %q is another expression, %v", expression, value, canonical(expression), err)
		}
	})
}
