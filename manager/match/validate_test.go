package match

import (
	"slices"
	"strings"
	"testing"
)

func TestString(t *testing.T) {
	for want, c := range map[string]Condition{
		`header("blog-demo-id") ~= regexp("louise")`: header("blog-demo-id", "louise"),
		"baggage(\"user\") ~= regexp(`lou\\d`)":      baggage("user", `lou\d`),
		`tracestate("dev") ~= regexp(".*")`:          state("dev", ".*"),
		`cookie("id") == "1"`:                        {Cookie, "id", Exact, "1"},
		`query("user id") ~= regexp("a|b")`:          query("user id", "a|b"),
		`path == "/x"`:                               path(Exact, "/x"),
		`path prefix "/api"`:                         path(Prefix, "/api"),
		`path ~= regexp("/a.*")`:                     path(Regexp, "/a.*"),
		`method == "GET"`:                            method("GET"),
	} {
		if got := c.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := (Conditions{method("GET"), path(Prefix, "/")}).String(); got != `method == "GET" and path prefix "/"` {
		t.Error(got)
	}
	if got := (Conditions{}).String(); got != "every HTTP request" {
		t.Error(got)
	}
}

func TestValidate(t *testing.T) {
	long := strings.Repeat("a", MaxValue+1)
	for _, tt := range []struct {
		set  Conditions
		want string // the beginning of the error; empty for none
	}{
		{nil, ""},
		{Conditions{header("a", "1"), baggage("b", "2"), state("c@d/e", "3"), cookie("e", ".*"), query("ü &", "x"), path(Prefix, "/a"), path(Exact, "/a/b"), path(Regexp, "/a/b|/c"), method("M-SEARCH")}, ""},
		{Conditions{header("a", "1"), cookie("b", "1"), header("c", "a(b")}, "headers[1].regexp: \"a(b\" is not a regular expression in the syntax of RE2: missing closing ): \"a(b\""},
		{Conditions{header("a", "(?=b)")}, "headers[0].regexp: \"(?=b)\" is not"},
		{Conditions{header("a", "b)(c")}, "headers[0].regexp: "},
		{Conditions{header("a", "(.{30}){30}")}, ""},
		{Conditions{header("a", "(.{30}){30}(.{30}){30}(.{30}){30}(.{30}){30}(.{30}){30}")}, "headers[0].regexp: \"(.{30}){30}(.{30}){30}(.{30}){30}(.{30}){30}(.{30}){30}\" cannot be used: it repeats too much"},
		{Conditions{header("a", "")}, "headers[0].regexp: empty"},
		{Conditions{header("", "1")}, "headers[0].name: \"\" is empty"},
		{Conditions{header("a b", "1")}, "headers[0].name: \"a b\" is no name of a header"},
		{Conditions{header("a:", "1")}, "headers[0].name: "},
		{Conditions{baggage("a,b", "1")}, "baggage[0].name: \"a,b\" is no name of a baggage member"},
		{Conditions{cookie("a=b", "1")}, "cookies[0].name: "},
		{Conditions{state("A", "1")}, "tracestate[0].name: \"A\" is no key of tracestate"},
		{Conditions{state("@a", "1")}, "tracestate[0].name: "},
		{Conditions{query(long, "1")}, "queryParams[0].name: "},
		{Conditions{query("a", long)}, "queryParams[0].regexp: more than 1024"},
		{Conditions{path(Exact, "x")}, "paths[0].exact: \"x\" is not a path"},
		{Conditions{path(Exact, "/"), path(Prefix, "/x?y")}, "paths[1].prefix: "},
		{Conditions{path(Regexp, "*")}, "paths[0].regexp: \"*\" is not"},
		{Conditions{method("GE T")}, "method: \"GE T\" is not a method"},
		{Conditions{method(".*")}, "method: \".*\" is not a method: write one as GET, since this is no expression"},
		{Conditions{method("GET|PUT")}, "method: "},
		{Conditions{header("a", strings.Repeat("ü", MaxValue))}, ""},
		{Conditions{path(Exact, "/a"), header("b", "1"), path(Exact, "/b")}, `paths[1]: no request has both path == "/a" and path == "/b"; for one path or another, write one regexp with a |`},
		{Conditions{path(Prefix, "/a"), path(Prefix, "/a/b"), path(Regexp, "/a|/c")}, "paths[2]: no request has both path prefix \"/a/b\" and"},
		{Conditions{header("a", "1"), header("a", "2")}, ""},
		{Conditions{method("GET"), method("PUT")}, "method: there can be only one"},
		{slices.Repeat(Conditions{header("a", "1")}, MaxEntries+1), "headers: there can be at most 16"},
		{Conditions{{Header, "a", Prefix, "1"}}, "headers[0].prefix: only a path has a prefix"},
		{Conditions{{Method + 1, "a", Exact, "1"}}, `part 8("a") == "1": this version does not know such a condition`},
		{Conditions{{Header, "a", Prefix + 1, "1"}}, `header("a") == "1": this version`},
	} {
		err := tt.set.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
			t.Errorf("%v: %v, want %s", tt.set, err, tt.want)
		}
	}
}
