package gateway

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
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
		"beside the application's own": {match.Conditions{header},
			http.Header{"X-Intercept-Id": {"other"}, "Baggage": {"a=1", "b=2"}, "Cookie": {"a=1", `b="2"`}},
			http.Header{"X-Intercept-Id": {"7f:quote"}, "Baggage": {"a=1,b=2,x-intercept-id=7f:quote"}, "Cookie": {`a=1; b="2"; x-intercept-id=7f:quote`}}},
		"the application has a member and a cookie of that name": {match.Conditions{{Part: match.Header, Name: "lang", Op: match.Exact, Value: "en"}},
			http.Header{"Baggage": {"a=1, lang=de;p=1"}, "Cookie": {"lang=fr; a=1"}},
			http.Header{"Lang": {"en"}, "Baggage": {"a=1,lang=de;p=1"}, "Cookie": {"lang=fr; a=1"}}},
		"in place of the visitor's": {match.Conditions{{Part: match.Baggage, Name: "user", Op: match.Exact, Value: "ada"}, {Part: match.Cookie, Name: "user", Op: match.Exact, Value: "ada"}},
			http.Header{"Baggage": {"a=1, user=bob;p=1", "b=2"}, "Cookie": {"a=1; user=bob", `b="2"`}},
			http.Header{"Baggage": {"a=1,b=2,user=ada"}, "Cookie": {`a=1; b="2"; user=ada`}}},
		"a credential": {match.Conditions{{Part: match.Header, Name: "authorization", Op: match.Exact, Value: "Bearer-x"}, {Part: match.Header, Name: "X-Api-Key", Op: match.Exact, Value: "k"}},
			http.Header{}, http.Header{"Authorization": {"Bearer-x"}, "X-Api-Key": {"k"}}},
		"two values": {match.Conditions{{Part: match.Header, Name: "x-user", Op: match.Exact, Value: "ada"}, {Part: match.Header, Name: "X-User", Op: match.Regexp, Value: "(?i)ada"},
			{Part: match.Baggage, Name: "user", Op: match.Exact, Value: "a"}, {Part: match.Baggage, Name: "user", Op: match.Exact, Value: "b"}},
			http.Header{"X-User": {"eve"}},
			http.Header{"X-User": {"ada", "ADA"}, "Baggage": {"user=a,user=b,x-user=ada"}, "Cookie": {"x-user=ada"}}},
		"a line of baggage and a member": {match.Conditions{{Part: match.Header, Name: "baggage", Op: match.Exact, Value: "user=ada;p, t=1"}, {Part: match.Baggage, Name: "team", Op: match.Exact, Value: "web"}},
			http.Header{"Baggage": {"a=1,user=bob,team=x"}}, http.Header{"Baggage": {"a=1,team=web", "user=ada;p, t=1"}}},
		"a line of tracestate and a member": {match.Conditions{{Part: match.Header, Name: "Tracestate", Op: match.Exact, Value: "user=ada"}, {Part: match.Tracestate, Name: "team", Op: match.Exact, Value: "web"}},
			http.Header{"Tracestate": {"a=1,user=bob"}}, http.Header{"Tracestate": {"team=web,a=1", "user=ada"}}},
		"the line of cookies and a header": {match.Conditions{{Part: match.Header, Name: "Cookie", Op: match.Exact, Value: "a=1"}, {Part: match.Header, Name: "x-user", Op: match.Exact, Value: "ada"}},
			http.Header{"Cookie": {"b=2"}}, http.Header{"Cookie": {"a=1"}, "X-User": {"ada"}, "Baggage": {"x-user=ada"}}},
		"the same twice": {match.Conditions{{Part: match.Cookie, Name: "user", Op: match.Exact, Value: "ada"}, {Part: match.Cookie, Name: "user", Op: match.Regexp, Value: "ada"}},
			http.Header{}, http.Header{"Cookie": {"user=ada"}}},
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
			if !holds(c.conditions, c.sent) {
				t.Errorf("the conditions do not hold for %v", c.sent)
			}
			if diff := cmp.Diff(c.want, c.sent); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// holds says whether a request with this header meets the conditions that are about it.
func holds(conditions match.Conditions, h http.Header) bool {
	conditions = slices.DeleteFunc(slices.Clone(conditions), func(c match.Condition) bool {
		return c.Part == match.Path || c.Part == match.Method || c.Part == match.Query
	})
	var r match.Request
	for name, lines := range h {
		for _, line := range lines {
			r.Fields = append(r.Fields, match.Field{Name: []byte(name), Value: []byte(line)})
		}
	}
	table, err := match.New([]match.Conditions{conditions})
	return err == nil && len(table.Find(&r, nil)) == 1
}

func TestConditionsThatNoPreviewMeets(t *testing.T) {
	for name, c := range map[string]match.Condition{
		"two values":      {Part: match.Header, Name: "who", Op: match.Regexp, Value: "a|b"},
		"any value":       {Part: match.Baggage, Name: "who", Op: match.Regexp, Value: ".*"},
		"a loop's end":    {Part: match.Header, Name: "cdn-loop", Op: match.Regexp, Value: "shop"},
		"the host":        {Part: match.Header, Name: "host", Op: match.Regexp, Value: "shop"},
		"a line":          {Part: match.Header, Name: "who", Op: match.Exact, Value: "a\r\nb: c"},
		"a space":         {Part: match.Header, Name: "who", Op: match.Exact, Value: "ada "},
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

func TestConditionsThatNoRequestMeets(t *testing.T) {
	header := func(name, value string) match.Condition {
		return match.Condition{Part: match.Header, Name: name, Op: match.Exact, Value: value}
	}
	for name, all := range map[string]match.Conditions{
		"the line of cookies and a cookie": {header("cookie", "a=1"), {Part: match.Cookie, Name: "b", Op: match.Exact, Value: "2"}},
		"two lines of cookies":             {header("cookie", "a=1"), header("Cookie", "b=1")},
		"a key of tracestate twice":        {{Part: match.Tracestate, Name: "a", Op: match.Exact, Value: "1"}, {Part: match.Tracestate, Name: "a", Op: match.Exact, Value: "2"}},
		"a key of a line of tracestate":    {header("tracestate", "a=1"), {Part: match.Tracestate, Name: "a", Op: match.Exact, Value: "1"}},
	} {
		_, err := MarksOf(all)
		var refused *ConditionError
		if !errors.As(err, &refused) || refused.Condition != all[1] {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzMarks: conditions for which there are marks hold, whatever the visitor sends, and
// the visitor's cookies of other names stay.
func FuzzMarks(f *testing.F) {
	f.Add(uint8(match.Header), "x-user", "ada", uint8(match.Baggage), "x-user", "a b", "a=1,x-user=b;p", "a=1; x-user=c", "a=1")
	f.Add(uint8(match.Header), "x-user", "\tada", uint8(match.Header), "x-user", "ada", "", "", "")
	f.Add(uint8(match.Header), "baggage", "a=1", uint8(match.Header), "Baggage", "b=1", "a=2", "", "")
	f.Add(uint8(match.Tracestate), "a", "1", uint8(match.Header), "tracestate", "b=1", "", "", "a=2,b=3")
	f.Add(uint8(match.Cookie), "a", "1", uint8(match.Cookie), "a", "2", "", `a="3"; b`, "")
	f.Fuzz(func(t *testing.T, part1 uint8, name1, value1 string, part2 uint8, name2, value2, baggage, cookie, tracestate string) {
		all := match.Conditions{{Part: match.Part(part1), Name: name1, Op: match.Exact, Value: value1}, {Part: match.Part(part2), Name: name2, Op: match.Exact, Value: value2}}
		if all.Validate() != nil || len(baggage) > 4096 || strings.Count(baggage, ",") > 99 || strings.Count(tracestate, ",") > 9 {
			return // the agent reads so much and no more
		}
		m, err := MarksOf(all)
		if err != nil {
			return
		}
		h := http.Header{"Baggage": {baggage}, "Cookie": {cookie}, "Tracestate": {tracestate}}
		m.add(h)
		if !holds(all, h) {
			t.Errorf("%v do not hold for %v", all, h)
		}
		if len(m.lines("Cookie")) > 0 {
			return
		}
		for pair := range strings.SplitSeq(cookie, ";") {
			pair = strings.TrimSpace(pair)
			if name := nameOf(pair); pair != "" && name != name1 && name != name2 && !slices.Contains(cookies(h), pair) {
				t.Errorf("cookie %s is lost: %v", pair, h)
			}
		}
	})
}
