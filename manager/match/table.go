package match

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// Table finds, among the conditions of many intercepts, those that a request meets. What
// that costs depends on the request, and hardly on the number of intercepts. A Table is
// immutable and safe for concurrent use.
//
// Each intercept has one key, the condition that fewest requests meet as far as one can
// tell. A request's values are looked up among the keys, and all conditions are checked
// only for what was found there.
type Table struct {
	subjects  subjects
	sets      [][]test // the conditions of each intercept
	always    []int    // those without conditions
	keys      []keys   // by subject
	scratches sync.Pool
}

// test is a condition: the number of a subject, and what one of its values must meet.
type test struct {
	subject int
	pattern pattern
}

// New returns a Table of conditions. It numbers the sets as they come. The error begins
// with the number of a set that is not valid.
func New(all []Conditions) (*Table, error) {
	t := &Table{sets: make([][]test, len(all))}
	for i, set := range all {
		if err := set.Validate(); err != nil {
			return nil, fmt.Errorf("conditions %d: %w", i, err)
		}
		for _, c := range set {
			p, err := compile(c)
			if err != nil {
				return nil, fmt.Errorf("conditions %d: %v: %w", i, c, err)
			}
			t.sets[i] = append(t.sets[i], test{t.subjects.add(c.Part, c.Name), p})
		}
	}
	t.keys = make([]keys, len(t.subjects.all))
	for i, set := range t.sets {
		if len(set) == 0 {
			t.always = append(t.always, i)
			continue
		}
		key := slices.MinFunc(set, func(a, b test) int { return cmp.Compare(t.breadth(a), t.breadth(b)) })
		t.keys[key.subject].add(&key.pattern, i)
	}
	t.scratches.New = func() any {
		return &scratch{values: make([][][]byte, len(t.subjects.all)), checked: make([]uint64, len(t.sets))}
	}
	return t, nil
}

// breadth orders conditions by how many requests may meet them.
func (t *Table) breadth(c test) int {
	s, p := t.subjects.all[c.subject], &c.pattern
	switch {
	case s.part == Method:
		return 1 << 16
	case p.all() != nil:
		return -1 << 16
	}
	return -len(p.text)
}

// Find appends to found the numbers of all conditions that the request meets, in order.
// It allocates nothing unless found is too short.
func (t *Table) Find(r *Request, found []int) []int {
	begin := len(found)
	found = append(found, t.always...)
	if len(t.subjects.all) == 0 {
		return found
	}
	s := t.scratches.Get().(*scratch)
	t.subjects.read(r, s)
	for _, subject := range s.present {
		k := &t.keys[subject]
		for _, value := range s.values[subject] {
			found = t.check(k.exact[string(value)], s, found)
			for i := range k.begins {
				b := &k.begins[i]
				if b.length > len(value) {
					break
				}
				found = t.check(b.sets[string(value[:b.length])], s, found)
			}
		}
	}
	s.reset()
	t.scratches.Put(s)
	slices.Sort(found[begin:])
	return found
}

// check appends those of the sets whose conditions all hold. It checks a set once for each
// request.
func (t *Table) check(sets []int, s *scratch, found []int) []int {
	for _, i := range sets {
		if s.checked[i] != s.request {
			s.checked[i] = s.request
			if t.meets(i, s) {
				found = append(found, i)
			}
		}
	}
	return found
}

// meets reports whether all conditions of a set hold.
func (t *Table) meets(set int, s *scratch) bool {
	for i := range t.sets[set] {
		c := &t.sets[set][i]
		if !slices.ContainsFunc(s.values[c.subject], c.pattern.meets) {
			return false
		}
	}
	return true
}

// keys are the keys of one subject.
type keys struct {
	exact map[string][]int
	// begins has the others by what their values begin with, for each length of that.
	begins []beginnings
}

// beginnings are keys whose values begin with a text of the same length.
type beginnings struct {
	length int
	sets   map[string][]int
}

func (k *keys) add(p *pattern, set int) {
	if all := p.all(); all != nil {
		if k.exact == nil {
			k.exact = map[string][]int{}
		}
		for _, text := range all {
			k.exact[text] = append(k.exact[text], set)
		}
		return
	}
	at, ok := slices.BinarySearchFunc(k.begins, len(p.text), func(b beginnings, n int) int { return cmp.Compare(b.length, n) })
	if !ok {
		k.begins = slices.Insert(k.begins, at, beginnings{len(p.text), map[string][]int{}})
	}
	k.begins[at].sets[p.text] = append(k.begins[at].sets[p.text], set)
}
