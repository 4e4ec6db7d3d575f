package match

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestOverlap(t *testing.T) {
	louise, anna := header("x-user", "louise"), header("x-user", "anna")
	for _, tt := range []struct {
		a, b Conditions
		want Relation
	}{
		{nil, nil, Overlapping},
		{nil, Conditions{louise}, Overlapping},
		{Conditions{louise}, Conditions{header("X-User", "^louise$")}, Overlapping},
		{Conditions{louise}, Conditions{anna}, Disjoint},
		{Conditions{louise}, Conditions{header("x-user", "lou.*")}, Overlapping},
		{Conditions{louise}, Conditions{header("x-user", "ann.*")}, Disjoint},
		{Conditions{header("x-user", "lou.*")}, Conditions{header("x-user", "ann.*")}, Disjoint},
		{Conditions{header("x-user", "lou.*")}, Conditions{header("x-user", "lou.*")}, Overlapping},
		{Conditions{header("x-user", "lou.*")}, Conditions{header("x-user", "l.*")}, Overlapping},
		{Conditions{header("x-user", "lou.*")}, Conditions{header("x-user", "^(lou.*)$")}, Overlapping},
		{Conditions{header("x-user", "lou[a-z]+")}, Conditions{header("x-user", ".*")}, Overlapping},
		{Conditions{header("x-user", "(lou)[a-z]+")}, Conditions{header("x-user", "^lou([a-z]+)$")}, Overlapping},
		{Conditions{header("x-user", "lou[a-z]+")}, Conditions{header("x-user", "lou[0-9]+")}, Undecided},
		{Conditions{header("x-user", "louise|anna")}, Conditions{header("x-user", "bob|eve")}, Disjoint},
		{Conditions{header("x-user", "louise|anna")}, Conditions{header("x-user", "^(anna|louise)$")}, Overlapping},
		{Conditions{header("x-user", "louise|anna|eve")}, Conditions{header("x-user", "anna|louise")}, Overlapping},
		{Conditions{header("x-user", "louise|anna")}, Conditions{header("x-user", "anna|bob")}, Undecided},
		{Conditions{header("x-user", "louise|anna")}, Conditions{header("x-user", ".*s.*|.*n.*")}, Overlapping},
		{Conditions{header("x-user", "lou(ise)?")}, Conditions{header("x-user", ".*n")}, Disjoint},
		{Conditions{header("x-user", "user-[0-9]")}, Conditions{header("x-user", "user-1[0-9]?")}, Undecided},
		{Conditions{louise}, Conditions{path(Prefix, "/")}, Overlapping},
		{Conditions{louise}, Conditions{path(Regexp, ".*")}, Overlapping},
		{Conditions{louise, path(Prefix, "/")}, Conditions{anna}, Disjoint},
		{Conditions{louise, path(Regexp, "/api/.*")}, Conditions{louise, path(Prefix, "/api")}, Overlapping},
		{Conditions{louise, path(Prefix, "/api")}, Conditions{louise, path(Regexp, "/ap.*")}, Overlapping},
		{Conditions{header("x-user", "lou.*")}, Conditions{header("x-user", ".*se")}, Undecided},
		{Conditions{louise}, Conditions{baggage("x-user", "louise")}, Undecided},
		{Conditions{louise}, Conditions{header("x-team", "louise")}, Undecided},
		{Conditions{cookie("id", "a")}, Conditions{cookie("Id", "a")}, Undecided},
		{Conditions{query("id", "a")}, Conditions{query("id", "b")}, Disjoint},
		{Conditions{louise}, Conditions{louise, path(Prefix, "/api")}, Overlapping},
		{Conditions{louise, path(Exact, "/a")}, Conditions{path(Exact, "/a"), louise}, Overlapping},
		{Conditions{louise, path(Prefix, "/api")}, Conditions{louise, path(Prefix, "/api/v1")}, Overlapping},
		{Conditions{louise, path(Prefix, "/api")}, Conditions{louise, path(Exact, "/api")}, Overlapping},
		{Conditions{louise, path(Prefix, "/api")}, Conditions{louise, path(Prefix, "/apis")}, Disjoint},
		{Conditions{louise, path(Prefix, "/api")}, Conditions{louise, path(Regexp, "/web.*")}, Disjoint},
		{Conditions{louise, path(Prefix, "/api")}, Conditions{path(Prefix, "/api/v1")}, Undecided},
		{Conditions{louise, method("GET")}, Conditions{louise, method("POST")}, Disjoint},
		{Conditions{louise, method("GET")}, Conditions{anna, method("GET")}, Disjoint},
		{Conditions{louise, anna}, Conditions{louise}, Overlapping},
		{Conditions{louise, path(Exact, "/a"), path(Exact, "/b")}, Conditions{louise}, Disjoint},
	} {
		for range 2 {
			if got := Overlap(tt.a, tt.b); got != tt.want {
				t.Errorf("%v; %v: %d, want %d", tt.a, tt.b, got, tt.want)
			}
			tt.a, tt.b = tt.b, tt.a
		}
	}
}

func TestWithin(t *testing.T) {
	all, narrow := Conditions{header("x-user", "louise")}, Conditions{header("x-user", "louise"), path(Prefix, "/api")}
	if !Within(narrow, all) || Within(all, narrow) || !Within(all, nil) || Within(nil, all) || !Within(all, all) {
		t.Error("wrong")
	}
}

// What generated conditions and requests are made of.
var (
	genParts  = []Part{Header, Header, Baggage, Cookie, Query, Path, Path, Method}
	genNames  = []string{"a", "b"}
	genValues = []string{"", "x", "xy", "xyz", "y", "z"}
	genTexts  = []string{"x", "xy", "y", "x.*", "^(xy.*)$", ".*y", "[xy]", "x?y", ".*", "^$", "x|xy", "(y|z)", "xy?", "x[a-z]+"}
	genPaths  = []string{"/", "/x", "/x/y", "/x/y/z", "/xy", "/y"}
	genRoutes = []string{"/x.*", "/x/.*", "/.*", ".*y", "/x|/y"}
	genVerbs  = []string{"GET", "POST"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func generate(r *rand.Rand) Conditions {
	var set Conditions
	for range r.IntN(4) {
		c := Condition{Part: pick(r, genParts), Op: Regexp}
		switch {
		case c.Part == Method:
			if slices.ContainsFunc(set, func(c Condition) bool { return c.Part == Method }) {
				continue
			}
			c.Op, c.Value = Exact, pick(r, genVerbs)
		case c.Part == Path:
			if c.Op = pick(r, []Op{Exact, Prefix, Regexp}); c.Op == Regexp {
				c.Value = pick(r, genRoutes)
			} else {
				c.Value = pick(r, genPaths)
			}
		default:
			c.Name, c.Value = pick(r, genNames), pick(r, genTexts)
		}
		if more := append(slices.Clone(set), c); more.Validate() == nil {
			set = more
		}
	}
	return set
}

// plain makes a request that has each header, member, cookie and parameter at most once.
func plain(r *rand.Rand) *Request {
	var members [3][]string // of baggage, cookies and the query
	text := ""
	for _, name := range genNames {
		if r.IntN(4) > 0 {
			text += "\n" + name + ":" + pick(r, genValues)
		}
		for i := range members {
			if r.IntN(4) > 0 {
				members[i] = append(members[i], name+"="+pick(r, genValues))
			}
		}
	}
	return request(pick(r, genVerbs) + " " + pick(r, genPaths) + "?" + strings.Join(members[2], "&") + text +
		"\nbaggage:" + strings.Join(members[0], ",") + "\ncookie:" + strings.Join(members[1], ";"))
}

// witness makes a request that meets a set, with a line, member, cookie or parameter for
// each of its conditions; nil if it finds none.
func witness(t *testing.T, set Conditions) *Request {
	verb, fields, parameters := "GET", "", []string{}
	for _, c := range set {
		if c.Part == Method {
			verb = c.Value
		}
		if !c.Part.Named() {
			continue
		}
		p, err := compile(c)
		if err != nil {
			t.Fatal(err)
		}
		k := slices.IndexFunc(genValues, func(v string) bool { return p.meets([]byte(v)) })
		if k < 0 {
			t.Fatalf("no value for %v", c)
		}
		switch pair := c.Name + "=" + genValues[k]; c.Part {
		case Header:
			fields += "\n" + c.Name + ":" + genValues[k]
		case Baggage, Cookie:
			fields += "\n" + c.Part.String() + ":" + pair
		case Query:
			parameters = append(parameters, pair)
		}
	}
	for _, p := range slices.Concat(genPaths, []string{"/x/y/z/y", "/xy/y"}) {
		if r := request(verb + " " + p + "?" + strings.Join(parameters, "&") + fields); meets(t, set, r) {
			return r
		}
	}
	return nil
}

// Disjoint sets have no plain request in common, overlapping ones have a request that
// proves it, and the order of two sets does not matter.
func TestOverlapHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var requests []*Request
	for range 300 {
		requests = append(requests, plain(r))
	}
	counts := map[Relation]int{}
	for range 5000 {
		a, b := generate(r), generate(r)
		got := Overlap(a, b)
		counts[got]++
		if Overlap(b, a) != got || Within(a, b) && Within(b, a) && got == Undecided {
			t.Fatalf("%v; %v: not symmetric", a, b)
		}
		table, err := New([]Conditions{a, b})
		if err != nil {
			t.Fatal(err)
		}
		switch got {
		case Disjoint:
			for _, q := range requests {
				if len(table.Find(q, nil)) == 2 {
					t.Fatalf("%v; %v: both meet %s", a, b, q)
				}
			}
		case Overlapping:
			narrow := a
			if !Within(a, b) {
				narrow = b
			}
			if w := witness(t, narrow); w == nil || len(table.Find(w, nil)) != 2 {
				t.Fatalf("%v; %v: no request meets both", a, b)
			}
		}
	}
	if len(counts) != 3 || slices.Min([]int{counts[Disjoint], counts[Overlapping], counts[Undecided]}) < 200 {
		t.Errorf("the generated sets are too much alike: %v", counts)
	}
}
