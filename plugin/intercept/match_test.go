package intercept

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// typed reads a command line's flags about requests.
func typed(t *testing.T, args ...string) (*Match, error) {
	t.Helper()
	var f MatchFlags
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.add(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.ToMatch()
}

func TestMatchFlags(t *testing.T) {
	value := func(p match.Part, name, value string) match.Condition {
		return match.Condition{Part: p, Name: name, Op: match.Regexp, Value: value}
	}
	header := func(name, v string) match.Condition { return value(match.Header, name, v) }
	path := func(op match.Op, v string) match.Condition {
		return match.Condition{Part: match.Path, Op: op, Value: v}
	}
	for _, test := range []struct {
		args []string
		want match.Conditions
	}{
		{[]string{"--match", "blog-demo-id=louise"}, match.Conditions{header("blog-demo-id", "louise")}},
		{[]string{"--http-match=blog-demo-id=louise"}, match.Conditions{header("blog-demo-id", "louise")}},
		{[]string{"--match", "b=2", "--http-match", "a=1", "--match=c=3"}, match.Conditions{header("b", "2"), header("a", "1"), header("c", "3")}},
		{[]string{"--match", "a=1", "--match", "a=1"}, match.Conditions{header("a", "1")}},
		{[]string{"--match", `x-query="a=b:c",d`}, match.Conditions{header("x-query", `"a=b:c",d`)}},
		{[]string{"--match", "referer=https?://shop:8080/.*=.*"}, match.Conditions{header("referer", "https?://shop:8080/.*=.*")}},
		{[]string{"--match", "baggage:user=louise|thelma"}, match.Conditions{value(match.Baggage, "user", "louise|thelma")}},
		{[]string{"--match", "baggage=.*user=louise.*"}, match.Conditions{header("baggage", ".*user=louise.*")}},
		{[]string{"--match", "tracestate:tenant@vendor=a:b"}, match.Conditions{value(match.Tracestate, "tenant@vendor", "a:b")}},
		{[]string{"--match", "cookie:session=a=b"}, match.Conditions{value(match.Cookie, "session", "a=b")}},
		{[]string{"--match", "all"}, nil},
		{[]string{"--match", "all", "--match-path", "/color"}, match.Conditions{path(match.Exact, "/color")}},
		{[]string{"--match-path-prefix", "/api", "--match-path-regex", `/api/v\d+/.*`},
			match.Conditions{path(match.Prefix, "/api"), path(match.Regexp, `/api/v\d+/.*`)}},
		{[]string{"--match-path", "/helloworld.Greeter/SayHello"}, match.Conditions{path(match.Exact, "/helloworld.Greeter/SayHello")}},
		{[]string{"--match-method", "post"}, match.Conditions{{Part: match.Method, Op: match.Exact, Value: "POST"}}},
		{[]string{"--match-method", "purge"}, match.Conditions{{Part: match.Method, Op: match.Exact, Value: "purge"}}},
		{[]string{"--match-query", "debug=1", "--match", "a=1"}, match.Conditions{header("a", "1"), value(match.Query, "debug", "1")}},
	} {
		m, err := typed(t, test.args...)
		if err != nil || m == nil || m.ID != "" || !slices.Equal(m.Conditions, test.want) {
			t.Errorf("%q: %+v, %v", test.args, m, err)
		}
	}
	if m, err := typed(t); m != nil || err != nil {
		t.Errorf("without flags: %+v, %v", m, err)
	}
}

func TestMatchFlagsRefused(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string // how the error begins
	}{
		{[]string{"--match", "x-user=("}, `--match x-user=(: missing closing ) at character 1, (: expressions have the syntax of RE2, in which \ makes a special character a plain one`},
		{[]string{"--match", "x-user=a*|*b"}, "--match x-user=a*|*b: missing argument to repetition operator at character 4, *: "},
		{[]string{"--match", `x-user=a\`}, `--match x-user=a\: trailing backslash at end of expression: `},
		{[]string{"--match", "x-user=(a)(b"}, "--match x-user=(a)(b: missing closing ) at character 4, (: "},
		{[]string{"--match", `x-user=\([)(]\Q(\Eü)`}, `--match x-user=\([)(]\Q(\Eü): unexpected ) at character 13, ): `},
		{[]string{"--match", "x-user=ab**"}, "--match x-user=ab**: invalid nested repetition operator at character 3, **: "},
		{[]string{"--match", "x-user=a(?=b)"}, "--match x-user=a(?=b): invalid or unsupported Perl syntax at character 2, (?=: "},
		{[]string{"--match", "fine=1", "--match", "cookie:x=[z-a]"}, "--match cookie:x=[z-a]: invalid character class range at character 2, z-a: "},
		{[]string{"--http-match", "x-user"}, "--match x-user: the = is missing: write NAME=REGEXP"},
		{[]string{"--match", "x-user="}, "--match x-user=: empty; .* is for every value"},
		{[]string{"--match", "=louise"}, `--match =louise: the name before the = is missing`},
		{[]string{"--match", "x user=1"}, `--match x user=1: "x user" is no name of a header`},
		{[]string{"--match", "header:x=1"}, "--match header:x=1: header: is none of baggage:, tracestate: and cookie:"},
		{[]string{"--match", ":path=/color"}, "--match :path=/color: :path is no header: --match-path, "},
		{[]string{"--match", "tracestate:A=1"}, `--match tracestate:A=1: "A" is no key of tracestate`},
		{[]string{"--match", "baggage:=1"}, `--match baggage:=1: the name before the = is missing`},
		{[]string{"--match-path", "color"}, `--match-path color: "color" is not a path: it begins with /`},
		{[]string{"--match-path-prefix", "/a?b=c"}, `--match-path-prefix /a?b=c: "/a?b=c" is not a path`},
		{[]string{"--match-path-regex", "["}, "--match-path-regex [: missing closing ] at character 1, [: "},
		{[]string{"--match-path-regex", "*"}, "--match-path-regex *: missing argument to repetition operator at character 1, *: "},
		{[]string{"--match-path", ""}, `--match-path "": "" is not a path`},
		{[]string{"--match-query", "=1"}, "--match-query =1: the name before the = is missing"},
		{[]string{"--match-query", "debug"}, "--match-query debug: the = is missing: write KEY=REGEXP"},
		{[]string{"--match-method", "GET /"}, `--match-method GET /: "GET /" is not a method`},
		{[]string{"--match-method", "GET", "--match-method", "POST"}, "--match-method is given 2 times, and a request has one method"},
		{[]string{"--match", "all", "--match", "a=1"}, "--match all takes every HTTP request: leave it out, or the other --match flags"},
	} {
		if m, err := typed(t, test.args...); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: %+v, %v; want %s", test.args, m, err, test.want)
		}
	}
}

// An intercept keeps the header that was made for it, which callers know.
func TestAutoKeepsTheHeader(t *testing.T) {
	m, err := typed(t, "--match", "auto", "--match-path", "/color")
	if err != nil {
		t.Fatal(err)
	}
	first := m.of("quote.v1", nil)
	if ok, _ := regexp.MatchString(`^[0-9a-f-]{36}:quote\\\.v1$`, first.Headers[0].Regexp); !ok || first.Headers[0].Name != "x-intercept-id" || len(first.Paths) != 1 {
		t.Errorf("%+v", first)
	}
	again, err := typed(t, "--match", "auto")
	if err != nil || again.ID == m.ID {
		t.Fatalf("%+v, %v", again, err)
	}
	former := &v1alpha1.Intercept{Spec: v1alpha1.InterceptSpec{Match: first}}
	for _, test := range []struct {
		name   string
		former *v1alpha1.Intercept
		kept   bool
	}{
		{"quote.v1", former, true}, {"other", former, false}, {"quote.v1", &v1alpha1.Intercept{}, false},
	} {
		if got := again.of(test.name, test.former); (got.Headers[0] == first.Headers[0]) != test.kept {
			t.Errorf("%s: %+v", test.name, got.Headers)
		}
	}
}

func TestMechanism(t *testing.T) {
	for _, test := range []struct {
		mechanism, want string
		match           texts
	}{
		{mechanism: ""}, {mechanism: "tcp"}, {mechanism: "http"}, {mechanism: "http", match: texts{"a=1"}},
		{mechanism: "tcp", match: texts{"a=1"}, want: "--mechanism tcp takes every connection"},
		{mechanism: "grpc", want: `--mechanism "grpc": use tcp`},
	} {
		m, err := (&MatchFlags{Mechanism: test.mechanism, Match: test.match}).ToMatch()
		if test.want != "" {
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%+v: %v", test, err)
			}
			continue
		}
		if err != nil || (m != nil) != (test.mechanism == "http") || m != nil && (m.ID != "") != (test.match == nil) {
			t.Errorf("%+v: %+v, %v", test, m, err)
		}
	}
}
