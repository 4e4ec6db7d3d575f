package gateway

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

func TestLiteral(t *testing.T) {
	for expression, want := range map[string]string{
		"louise": "louise", "^louise$": "louise", "(louise)": "louise", `1\.2:shop/quote`: "1.2:shop/quote",
		"(?i)louise": "LOUISE", "a(b)c": "abc", "[.]x": ".x", "": "",
	} {
		if got, ok := literal(expression); !ok || !strings.EqualFold(got, want) || !regexp.MustCompile("^(?:"+expression+")$").MatchString(got) {
			t.Errorf("%q: %q, %v; want %q", expression, got, ok, want)
		}
	}
	for _, expression := range []string{"louise.*", "a|b", "a?", "[ab]", ".", "a{2,}", "(", "a+"} {
		if got, ok := literal(expression); ok {
			t.Errorf("%q is taken for %q", expression, got)
		}
	}
}

// FuzzLiteral: an expression matches what is taken for its only text.
func FuzzLiteral(f *testing.F) {
	for _, seed := range []string{"louise", "^a$", `\Qa.b\E`, "(?i)ä", "a|b", "[k]", "(?s).", "a{3}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		text, ok := literal(expression)
		if !ok {
			return
		}
		re, err := regexp.Compile("^(?:" + expression + ")$")
		if err != nil || strings.Contains(expression, "(?") || strings.ContainsAny(expression, "\\") && !re.MatchString(text) {
			return // flags and assertions that the anchors change
		}
		if !re.MatchString(text) {
			t.Errorf("%q does not match %q", expression, text)
		}
	})
}

func TestMarks(t *testing.T) {
	header := match.Condition{Part: match.Header, Name: "x-intercept-id", Op: match.Regexp, Value: "7f:quote"}
	for name, c := range map[string]struct {
		conditions match.Conditions
		sent, want http.Header
	}{
		"a header": {match.Conditions{header}, http.Header{},
			http.Header{"X-Intercept-Id": {"7f:quote"}, "Baggage": {"x-intercept-id=7f:quote"}, "Cookie": {"x-intercept-id=7f:quote"}}},
		"in place of the visitor's": {match.Conditions{header},
			http.Header{"X-Intercept-Id": {"other"}, "Baggage": {"a=1, x-intercept-id=other;p=1", "b=2"}, "Cookie": {"a=1; x-intercept-id=other", `b="2"`}},
			http.Header{"X-Intercept-Id": {"7f:quote"}, "Baggage": {"a=1,b=2,x-intercept-id=7f:quote"}, "Cookie": {`a=1; b="2"; x-intercept-id=7f:quote`}}},
		"spaces": {match.Conditions{{Part: match.Header, Name: "who", Op: match.Regexp, Value: "Jo, 100%"}}, http.Header{},
			http.Header{"Who": {"Jo, 100%"}, "Baggage": {"who=Jo%2C%20100%25"}}},
		"baggage": {match.Conditions{{Part: match.Baggage, Name: "user", Op: match.Regexp, Value: "ada"}}, http.Header{"Baggage": {"a=1"}},
			http.Header{"Baggage": {"a=1,user=ada"}}},
		"tracestate": {match.Conditions{{Part: match.Tracestate, Name: "user", Op: match.Regexp, Value: "ada"}}, http.Header{"Tracestate": {"a=1,user=b"}},
			http.Header{"Tracestate": {"user=ada,a=1"}}},
		"a cookie": {match.Conditions{{Part: match.Cookie, Name: "user", Op: match.Exact, Value: "a.a"}}, http.Header{},
			http.Header{"Cookie": {"user=a.a"}}},
		"what the visitor decides": {match.Conditions{{Part: match.Path, Op: match.Prefix, Value: "/a"}, {Part: match.Method, Op: match.Exact, Value: "GET"},
			{Part: match.Query, Name: "q", Op: match.Regexp, Value: ".*"}}, http.Header{}, http.Header{}},
		"every request": {nil, http.Header{"Cookie": {"a=1"}}, http.Header{"Cookie": {"a=1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := MarksOf(c.conditions)
			if err != nil {
				t.Fatal(err)
			}
			m.add(c.sent)
			if diff := cmp.Diff(c.want, c.sent); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConditionsThatNoPreviewMeets(t *testing.T) {
	for name, c := range map[string]match.Condition{
		"two values":      {Part: match.Header, Name: "who", Op: match.Regexp, Value: "a|b"},
		"any value":       {Part: match.Baggage, Name: "who", Op: match.Regexp, Value: ".*"},
		"the host":        {Part: match.Header, Name: "host", Op: match.Regexp, Value: "shop"},
		"a line":          {Part: match.Header, Name: "who", Op: match.Exact, Value: "a\r\nb: c"},
		"no cookie value": {Part: match.Cookie, Name: "who", Op: match.Exact, Value: "a;b"},
		"no trace value":  {Part: match.Tracestate, Name: "who", Op: match.Exact, Value: "a=b"},
	} {
		_, err := MarksOf(match.Conditions{c})
		var refused *ConditionError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.Name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
