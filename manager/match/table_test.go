package match

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// request reads a request as one would write it: the request line without the version,
// then a line for each field.
func request(text string) *Request {
	lines := strings.Split(text, "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	path, query, _ := strings.Cut(target, "?")
	r := &Request{Method: []byte(method), Path: []byte(path), Query: []byte(query)}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		r.Fields = append(r.Fields, Field{[]byte(name), []byte(value)})
	}
	return r
}

// meets reports whether a request meets conditions.
func meets(t testing.TB, set Conditions, r *Request) bool {
	t.Helper()
	table, err := New([]Conditions{set})
	if err != nil {
		t.Fatal(err)
	}
	return len(table.Find(r, nil)) == 1
}

func header(name, re string) Condition  { return Condition{Header, name, Regexp, re} }
func baggage(name, re string) Condition { return Condition{Baggage, name, Regexp, re} }
func state(name, re string) Condition   { return Condition{Tracestate, name, Regexp, re} }
func cookie(name, re string) Condition  { return Condition{Cookie, name, Regexp, re} }
func query(name, re string) Condition   { return Condition{Query, name, Regexp, re} }
func path(op Op, v string) Condition    { return Condition{Path, "", op, v} }
func method(v string) Condition         { return Condition{Method, "", Exact, v} }

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		set     Conditions
		request string
		want    bool
	}{
		{nil, "GET /", true},
		{Conditions{header("x-user", "louise")}, "GET /\nX-User: louise", true},
		{Conditions{header("X-User", "louise")}, "GET /\nx-uSER:louise \t", true},
		{Conditions{header("x-user", "louise")}, "GET /\nx-user: louise2", false},
		{Conditions{header("x-user", "louise")}, "GET /\nx-user: a louise", false},
		{Conditions{header("x-user", "louise")}, "GET /\nx-user: Louise", false},
		{Conditions{header("x-user", "(?i)louise")}, "GET /\nx-user: Louise", true},
		{Conditions{header("x-user", "^louise$")}, "GET /\nx-user: louise", true},
		{Conditions{header("x-user", "louise|anna")}, "GET /\nx-user: anna", true},
		{Conditions{header("x-user", "louise|anna")}, "GET /\nx-user: louiseanna", false},
		{Conditions{header("x-user", "lou.*")}, "GET /\nx-user: louise", true},
		{Conditions{header("x-user", "lou.*")}, "GET /\nx-user: anna-lou", false},
		{Conditions{header("x-user", ".*")}, "GET /\nx-user:", true},
		{Conditions{header("x-user", ".*")}, "GET /\nx-users: 1", false},
		{Conditions{header("x-user", "louise")}, "GET /\nx-user: anna\nx-user: louise", true},
		{Conditions{header("x-user", "louise"), header("x-user", "anna")}, "GET /\nx-user: anna\nx-user: louise", true},
		{Conditions{header("x-user", "louise"), header("x-user", "anna")}, "GET /\nx-user: louise", false},
		{Conditions{header("x-user", "louise"), path(Prefix, "/api")}, "GET /api/1\nx-user: louise", true},
		{Conditions{header("x-user", "louise"), path(Prefix, "/api")}, "GET /apis\nx-user: louise", false},
		{Conditions{header(strings.Repeat("n", 200), "1")}, "GET /\n" + strings.Repeat("N", 200) + ": 1", true},

		{Conditions{baggage("user", "louise")}, "GET /\nBaggage: a=b , user = louise;p=1;q, c=d", true},
		{Conditions{baggage("user", "louise")}, "GET /\nbaggage: a=b\nbaggage: user=louise", true},
		{Conditions{baggage("user", "lou ise,;=%")}, "GET /\nbaggage: user=lou%20ise%2c%3B%3d%25", true},
		{Conditions{baggage("user", "a\\+b")}, "GET /\nbaggage: user=a+b", true},
		{Conditions{baggage("user", "a=b")}, "GET /\nbaggage: user=a=b", true},
		{Conditions{baggage("user", "100%")}, "GET /\nbaggage: user=100%", true},
		{Conditions{baggage("user", "louise")}, "GET /\nbaggage: User=louise,user", false},
		{Conditions{baggage("user", "p")}, "GET /\nbaggage: a=b;user=p", false},
		{Conditions{baggage("user", ".*")}, "GET /\nx-baggage: user=louise", false},
		{Conditions{header("baggage", "user=.*"), baggage("user", "louise")}, "GET /\nbaggage: user=louise", true},

		{Conditions{state("dev", "louise")}, "GET /\ntracestate: a=b,, \tdev=louise ,c=d", true},
		{Conditions{state("dev@team", "lou%20ise")}, "GET /\ntracestate: dev@team=lou%20ise", true},
		{Conditions{state("dev", "louise")}, "GET /\ntracestate: dev=anna\nTraceState: dev=louise", true},

		{Conditions{cookie("id", "louise")}, `GET /` + "\n" + `Cookie: a=b; id="louise"; c`, true},
		{Conditions{cookie("id", "louise")}, "GET /\ncookie: a=b\ncookie: id=louise", true},
		{Conditions{cookie("id", "lou%20ise")}, "GET /\ncookie: id=lou%20ise", true},
		{Conditions{cookie("id", "a=b=")}, "GET /\ncookie: id=a=b=", true},
		{Conditions{cookie("id", ".*")}, "GET /\ncookie: Id=louise; id", false},
		{Conditions{cookie("id", `"`)}, "GET /\n" + `cookie: id="`, true},

		{Conditions{query("user", "lou ise")}, "GET /?a&user=lou+ise&b=", true},
		{Conditions{query("us er", "lou/ise")}, "GET /?us%20er=lou%2fise", true},
		{Conditions{query("user", "^$")}, "GET /?user", true},
		{Conditions{query("user", ".*")}, "GET /?User=1;user=2", false},

		{Conditions{path(Exact, "/a.b")}, "GET /a.b?c", true},
		{Conditions{path(Exact, "/a.b")}, "GET /aXb", false},
		{Conditions{path(Prefix, "/api")}, "GET /api", true},
		{Conditions{path(Prefix, "/api/")}, "GET /api", true},
		{Conditions{path(Prefix, "/api/")}, "GET /apis", false},
		{Conditions{path(Prefix, "/")}, "GET /x", true},
		{Conditions{path(Prefix, "/")}, "OPTIONS *", false},
		{Conditions{path(Regexp, "/api/v[12](/.*)?")}, "GET /api/v2/x", true},
		{Conditions{path(Regexp, "/api/v[12](/.*)?")}, "GET /api/v3", false},
		{Conditions{path(Exact, "/shop.Cart/Add"), method("POST")}, "POST /shop.Cart/Add", true},
		{Conditions{method("GET")}, "get /", false},
	} {
		if got := meets(t, tt.set, request(tt.request)); got != tt.want {
			t.Errorf("%v, %q: %t", tt.set, tt.request, got)
		}
	}
}

// Of many sets, all that a request meets are found, once and in order.
func TestFindMany(t *testing.T) {
	table, err := New([]Conditions{
		{header("x-user", "lou.*")},
		{header("x-user", "louise")},
		{header("x-user", "anna")},
		nil,
		{header("x-user", "l.*"), path(Exact, "/no")},
		{header("x-user", "l.*"), method("GET")},
		{method("GET")},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := table.Find(request("GET /\nx-user: louise\nx-user: louise\nX-User: lou"), []int{9})
	if want := []int{9, 0, 1, 3, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := table.Find(request("POST /"), nil); !slices.Equal(got, []int{3}) {
		t.Errorf("%v", got)
	}
}

// What a request has too much of is not read.
func TestLimits(t *testing.T) {
	many := func(separator string, n int) string {
		return strings.Repeat("a=b"+separator, n) + "user=louise"
	}
	for _, tt := range []struct {
		set     Conditions
		request string
		want    bool
	}{
		{Conditions{baggage("user", "louise")}, "GET /\nbaggage: " + many(",", maxBaggageMembers-1), true},
		{Conditions{baggage("user", "louise")}, "GET /\nbaggage: " + many(",", maxBaggageMembers), false},
		{Conditions{baggage("user", "louise")}, "GET /" + strings.Repeat("\nbaggage: a=b", maxBaggageMembers) + "\nbaggage: user=louise", false},
		{Conditions{baggage("user", "l*")}, "GET /\nbaggage: user=" + strings.Repeat("l", maxBaggageBytes), false},
		{Conditions{state("user", "louise")}, "GET /\ntracestate: " + many(",", maxTraceMembers-1), true},
		{Conditions{state("user", "louise")}, "GET /\ntracestate: " + many(",", maxTraceMembers), false},
		{Conditions{header("a", "louise")}, "GET /" + strings.Repeat("\na: b", maxValues-1) + "\na: louise", true},
		{Conditions{header("a", "louise")}, "GET /" + strings.Repeat("\na: b", maxValues) + "\na: louise", false},
	} {
		if got := meets(t, tt.set, request(tt.request)); got != tt.want {
			t.Errorf("%v, %.60q: %t", tt.set, tt.request, got)
		}
	}
}

// A decision allocates nothing, also where members are decoded.
func TestFindAllocatesNothing(t *testing.T) {
	sets := many(250, func(i int) Conditions { return Conditions{header("x-user", fmt.Sprintf("user-%d", i))} })
	sets = append(sets, Conditions{baggage("user", "lou.*")}, Conditions{cookie("id", "(?i)louise")}, Conditions{query("q", "a b"), path(Prefix, "/api")})
	table, err := New(sets)
	if err != nil {
		t.Fatal(err)
	}
	r := request("GET /api?q=a+b\nhost: quote\nx-user: user-7\nbaggage: a=b,user=lou%20ise\ncookie: id=Louise")
	found := make([]int, 0, 8)
	if n := testing.AllocsPerRun(1000, func() { found = table.Find(r, found[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !slices.Equal(found, []int{7, 250, 251, 252}) {
		t.Errorf("%v", found)
	}
}

func many(n int, of func(int) Conditions) []Conditions {
	var sets []Conditions
	for i := range n {
		sets = append(sets, of(i))
	}
	return sets
}

// FuzzFind: whatever a request is, a Table of many sets finds what Tables of one find.
func FuzzFind(f *testing.F) {
	f.Add([]byte("GET"), []byte("/api/v1"), []byte("user=louise"), []byte("baggage"), []byte("user=louise;p, a=%6c"), []byte("id=\"louise\"; b"))
	f.Add([]byte("GET"), []byte("/"), []byte("us%65r=%zz&&=+"), []byte("TraceState"), []byte("user=%,,=;"), []byte("=;id=;\""))
	sets := []Conditions{
		nil, {header("x-user", "l.*")}, {header("cookie", "id.*")}, {baggage("user", "louise")}, {baggage("user", "l.*"), method("GET")},
		{state("user", ".*")}, {cookie("id", "louise")}, {cookie("id", "")}, {query("user", "louise")}, {query("user", "l?")},
		{path(Prefix, "/api")}, {path(Exact, "/")}, {path(Regexp, "/a.*")}, {method("GET")},
	}
	sets[7][0].Op = Exact
	table, err := New(sets)
	if err != nil {
		f.Fatal(err)
	}
	var single []*Table
	for _, s := range sets {
		one, err := New([]Conditions{s})
		if err != nil {
			f.Fatal(err)
		}
		single = append(single, one)
	}
	f.Fuzz(func(t *testing.T, method, path, query, name, value, cookies []byte) {
		r := &Request{Method: method, Path: path, Query: query, Fields: []Field{{name, value}, {[]byte("Cookie"), cookies}, {[]byte("x-user"), value}, {name, cookies}}}
		before := bytes.Join([][]byte{method, path, query, name, value, cookies}, nil)
		var want []int
		for i, one := range single {
			if len(one.Find(r, nil)) > 0 {
				want = append(want, i)
			}
		}
		for range 2 { // the second time with used memory
			if got := table.Find(r, nil); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		}
		if !bytes.Equal(before, bytes.Join([][]byte{method, path, query, name, value, cookies}, nil)) {
			t.Error("the request was changed")
		}
	})
}

func BenchmarkTable(b *testing.B) {
	literal := func(i int) Conditions { return Conditions{header("x-intercept-id", fmt.Sprintf("louise-%d", i))} }
	expression := func(i int) Conditions { return Conditions{header("x-intercept-id", fmt.Sprintf("louise-%d-.*", i))} }
	r := request("GET /api/v1/quotes?lang=en\nhost: quote\nuser-agent: Mozilla/5.0 (X11; Linux x86_64)\naccept: text/html\naccept-encoding: gzip\n" +
		"accept-language: en\nx-intercept-id: louise-0-laptop\nx-forwarded-for: 10.0.0.7\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nbaggage: user=louise")
	met := request("GET /\nx-intercept-id: louise-0")
	for _, bb := range []struct {
		name string
		n    int
		of   func(int) Conditions
		r    *Request
	}{
		{"literal/1", 1, literal, r}, {"literal/50", 50, literal, r}, {"literal/250", 250, literal, r},
		{"literal-met/1", 1, literal, met}, {"literal-met/250", 250, literal, met},
		{"expression/1", 1, expression, r}, {"expression/250", 250, expression, r},
	} {
		b.Run(bb.name, func(b *testing.B) {
			table, err := New(many(bb.n, bb.of))
			if err != nil {
				b.Fatal(err)
			}
			found := make([]int, 0, 8)
			b.ReportAllocs()
			for b.Loop() {
				found = table.Find(bb.r, found[:0])
			}
		})
	}
}
