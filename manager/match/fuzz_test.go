package match

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// valuesOf are what a Table reads of a request for one name.
func valuesOf(part Part, name string, r *Request) []string {
	var s subjects
	n := s.add(part, name)
	to := &scratch{values: make([][][]byte, 1)}
	s.read(r, to)
	var all []string
	for _, v := range to.values[n] {
		all = append(all, string(v))
	}
	return all
}

// FuzzQuery: a query that net/url understands has the values that net/url finds.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"a=1&b=2", "a", "a=%41+b&a=", "%61=x&&=y", "a=1;b=2", "a=%zz", "=", "a==b"} {
		f.Add("a", q)
	}
	f.Fuzz(func(t *testing.T, name, query string) {
		got := valuesOf(Query, name, &Request{Query: []byte(query)})
		values, err := url.ParseQuery(query)
		if want := values[name]; err == nil && !slices.Equal(got, want[:min(len(want), maxValues)]) {
			t.Errorf("%q in %q: %q, want %q", name, query, got, want)
		}
	})
}

// FuzzCookies: a header Cookie that net/http understands has the values that net/http finds.
func FuzzCookies(f *testing.F) {
	for _, line := range []string{"a=1; b=2", "a=1;a=2", `a="x y"`, `a="`, "a", "=", "a=b=c", " a=\t", "a=;;b"} {
		f.Add("a", line)
	}
	f.Fuzz(func(t *testing.T, name, line string) {
		got := valuesOf(Cookie, name, &Request{Fields: []Field{{[]byte("cookie"), []byte(line)}}})
		cookies, err := http.ParseCookie(line)
		if err != nil || strings.ContainsAny(line, "\r\n") { // which no header has
			return
		}
		var want []string
		for _, c := range cookies {
			if c.Name == name && !c.Quoted {
				c.Value = strings.Trim(c.Value, " ") // which net/http takes for a part of it
			}
			if c.Name == name && len(want) < maxValues {
				want = append(want, c.Value)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q in %q: %q, want %q", name, line, got, want)
		}
	})
}

// FuzzMembers: a member of baggage and one of tracestate are read, whatever members of
// others are beside them.
func FuzzMembers(f *testing.F) {
	f.Add("user", "louise", "a=1,b", ";p=1,,=", true)
	f.Add("dev@team", "100%, \x00;ü", "=;", "user=x", false)
	f.Fuzz(func(t *testing.T, name, value, before, after string, apart bool) {
		if name == "" || strings.ContainsAny(name, " \t,;=\"\\%") || len(before) > maxTraceBytes/2 || len(value) > maxTraceBytes/8 || strings.Count(before, ",") >= maxTraceMembers-1 {
			return
		}
		read := func(part Part, header, member string) []string {
			if apart {
				member = before + "," + member + "," + after
				return valuesOf(part, name, &Request{Fields: []Field{{[]byte(header), []byte(member)}}})
			}
			return valuesOf(part, name, &Request{Fields: []Field{{[]byte(strings.ToUpper(header)), []byte(before)}, {[]byte(header), []byte(member)}, {[]byte(header), []byte(after)}}})
		}
		encoded := ""
		for _, c := range []byte(value) {
			encoded += fmt.Sprintf("%%%02x", c)
		}
		others := len(valuesOf(Baggage, name, &Request{Fields: []Field{{[]byte("baggage"), []byte(before)}}}))
		if got := read(Baggage, "baggage", name+" =\t"+encoded+" ;ttl=1"); others < maxValues && !slices.Contains(got, value) {
			t.Errorf("baggage %q between %q and %q: %q, want %q", name, before, after, got, value)
		}
		if plain := strings.ReplaceAll(strings.Trim(value, " \t"), ",", ""); plain == strings.Trim(plain, " \t") {
			if got := read(Tracestate, "tracestate", name+"="+plain); !slices.Contains(got, plain) {
				t.Errorf("tracestate %q between %q and %q: %q, want %q", name, before, after, got, plain)
			}
		}
	})
}

// FuzzOverlap: a request proves no relation of two conditions wrong.
func FuzzOverlap(f *testing.F) {
	f.Add("louise", "lou.*", "louise", uint8(0))
	f.Add("a|b", "(?i)A", "a", uint8(0))
	f.Add("/api/", "/api", "/api/v1", uint8(2))
	f.Add("/a", "/a.*", "/a/", uint8(4))
	f.Fuzz(func(t *testing.T, a, b, value string, ops uint8) {
		part, name := Path, ""
		op := []Op{Regexp, Exact, Prefix}
		x, y := op[ops%3], op[ops/3%3]
		if x != Prefix && y != Prefix && ops >= 128 {
			part, name = Header, "x-user"
			value = strings.Trim(value, space)
		}
		sets := []Conditions{{{part, name, x, a}}, {{part, name, y, b}}}
		table, err := New(sets)
		if err != nil {
			return
		}
		met := table.Find(&Request{Path: []byte(value), Fields: []Field{{[]byte("X-User"), []byte(value)}}}, nil)
		first, second := slices.Contains(met, 0), slices.Contains(met, 1)
		relation := Overlap(sets[0], sets[1])
		if relation != Overlap(sets[1], sets[0]) {
			t.Errorf("%v; %v: the order matters", sets[0], sets[1])
		}
		if relation == Disjoint && first && second {
			t.Errorf("%v; %v are disjoint, and %q meets both", sets[0], sets[1], value)
		}
		if first && !second && Within(sets[0], sets[1]) || second && !first && Within(sets[1], sets[0]) {
			t.Errorf("%v; %v: one is within the other, and %q is not", sets[0], sets[1], value)
		}
	})
}
