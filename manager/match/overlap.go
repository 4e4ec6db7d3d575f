package match

import (
	"slices"
	"strings"
)

// Relation is what can be said of the requests that two sets of conditions take.
type Relation uint8

// The relations.
const (
	// Undecided: some requests may meet both. It is so for conditions on different parts
	// or names, and for most pairs of expressions.
	Undecided Relation = iota
	// Disjoint: no request meets both that has each header, member, cookie and parameter
	// once. One that has a header twice, with a value for each, meets both.
	Disjoint
	// Overlapping: all requests that meet one of the two meet the other as well.
	Overlapping
)

// Set is compiled conditions that are compared with others. It is immutable.
type Set struct{ predicates []predicate }

// Compile compiles valid conditions.
func Compile(all Conditions) *Set { return &Set{predicates(all)} }

// Overlap says how two valid sets of conditions are related. It is symmetric.
func Overlap(a, b Conditions) Relation { return Compile(a).Overlap(Compile(b)) }

// Within reports whether it is sure that every request that meets a meets b as well.
func Within(a, b Conditions) bool { return Compile(a).Within(Compile(b)) }

// Overlap says how two sets are related. It is symmetric.
func (s *Set) Overlap(other *Set) Relation {
	x, y := s.predicates, other.predicates
	both := slices.Concat(x, y)
	switch {
	case contradict(both, both, func(p Part) bool { return !p.Named() }):
		return Disjoint // a request has one path and one method
	case implies(x, y) || implies(y, x):
		return Overlapping
	case contradict(x, y, Part.Named):
		return Disjoint
	}
	return Undecided
}

// Within reports whether it is sure that every request that meets s meets the other set as
// well.
func (s *Set) Within(other *Set) bool { return implies(s.predicates, other.predicates) }

// predicate is a compiled condition.
type predicate struct {
	subject subject
	pattern pattern
	// expression is one that is more than a literal, in its canonical form.
	expression string
	every      bool // each request meets it
}

// predicates compiles conditions. It leaves out those that are not valid.
func predicates(all Conditions) []predicate {
	var out []predicate
	for _, c := range all {
		p, err := compile(c)
		if err != nil {
			continue
		}
		q := predicate{subject: subject{c.Part, fold(c.Part, c.Name)}, pattern: p, every: c.every()}
		if p.op == Regexp {
			q.expression = canonical(c.Value)
		}
		out = append(out, q)
	}
	return out
}

// implies reports whether each of b follows from one of a, or is met by every request.
func implies(a, b []predicate) bool {
	return !slices.ContainsFunc(b, func(q predicate) bool {
		return !q.every && !slices.ContainsFunc(a, func(p predicate) bool { return p.implies(&q) })
	})
}

// implies reports whether it is sure that each value that meets p meets q.
func (p *predicate) implies(q *predicate) bool {
	if p.subject != q.subject {
		return false
	}
	if all := p.pattern.all(); all != nil {
		return !slices.ContainsFunc(all, func(text string) bool { return !q.pattern.meets([]byte(text)) })
	}
	return p.pattern.op == q.pattern.op && p.expression == q.expression && (p.pattern.op != Prefix || p.pattern.text == q.pattern.text) ||
		q.pattern.covers(p.pattern.text)
}

// all returns the texts that meet the pattern, if they are known; else nil.
func (p *pattern) all() []string {
	if p.op == Exact {
		return []string{p.text}
	}
	return p.texts
}

// covers reports whether it is sure that each value that begins with a text meets the
// pattern.
func (p *pattern) covers(text string) bool {
	return p.op == Prefix && strings.HasPrefix(text, p.text+"/") || p.open && strings.HasPrefix(text, p.text)
}

// contradict reports whether one of a and one of b are about the same name, of a part that
// counts, and no value meets both.
func contradict(a, b []predicate, counts func(Part) bool) bool {
	return slices.ContainsFunc(a, func(p predicate) bool {
		return counts(p.subject.part) && slices.ContainsFunc(b, func(q predicate) bool { return p.contradicts(&q) })
	})
}

// contradicts reports whether it is sure that no value meets both.
func (p *predicate) contradicts(q *predicate) bool {
	if p.subject != q.subject {
		return false
	}
	v, w := &p.pattern, &q.pattern
	none := func(all []string, of *pattern) bool {
		return !slices.ContainsFunc(all, func(text string) bool { return of.meets([]byte(text)) })
	}
	if all := v.all(); all != nil {
		return none(all, w)
	}
	if all := w.all(); all != nil {
		return none(all, v)
	}
	if v.op == Prefix && w.op == Prefix {
		return !p.implies(q) && !q.implies(p)
	}
	return !strings.HasPrefix(v.text, w.text) && !strings.HasPrefix(w.text, v.text)
}
