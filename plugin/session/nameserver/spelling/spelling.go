// Package spelling randomizes the case of the name in each DNS query that is sent (the
// "0x20 bits"). Resolvers ignore case.
//
// An answer must repeat the name with the same case, which a forger cannot know. And an
// incoming query with the name and case of a query that was sent is that query: it has
// looped.
package spelling

import (
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

// Sent holds the queries that were sent and have no answer yet. The zero value is empty and
// ready to use. Sent is safe for concurrent use.
type Sent struct {
	mu      sync.Mutex
	queries map[string]*sent // by name with its random case, in wire format, and type
}

type sent struct {
	to    names.Source
	count int
}

// Add randomizes the case of a name, for a query to the cluster or to the laptop's
// resolvers. The query counts as sent until the caller calls done. A name without letters
// is returned as it is, and Find does not find it.
func (s *Sent) Add(name string, qtype uint16, to names.Source) (spelled string, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var k string
	for range 4 { // try again if the same spelling is in use for the other source
		if spelled = Random(name); spelled == name {
			return name, func() {}
		}
		var b [256]byte
		n, err := dns.PackDomainName(spelled, b[:], 0, nil, false)
		if err != nil {
			return name, func() {}
		}
		k = string(key(b[:n], qtype))
		if q := s.queries[k]; q == nil || q.to == to {
			break
		}
	}
	q := s.queries[k]
	if q == nil {
		q = &sent{to: to}
		if s.queries == nil {
			s.queries = map[string]*sent{}
		}
		s.queries[k] = q
	}
	q.count++
	return spelled, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if q.count--; q.count == 0 {
			delete(s.queries, k)
		}
	}
}

// Find returns where an incoming query was sent before; ok is false if no such query is
// waiting for an answer. The name is in wire format, in the case of the query.
func (s *Sent) Find(name []byte, qtype uint16) (to names.Source, ok bool) {
	var b [256 + 2]byte
	k := key(append(b[:0], name...), qtype)
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queries[string(k)]
	if q == nil {
		return 0, false
	}
	return q.to, true
}

func key(name []byte, qtype uint16) []byte { return append(name, byte(qtype>>8), byte(qtype)) }

// Random returns a lower-case name with a random choice of its letters in upper case. If
// the name has letters, at least one is in upper case.
func Random(name string) string {
	b := []byte(name)
	upper, first := false, -1
	for i, c := range b {
		if c < 'a' || c > 'z' {
			continue
		}
		if first < 0 {
			first = i
		}
		if rand.Uint32()&1 == 1 {
			b[i], upper = c-'a'+'A', true
		}
	}
	if !upper && first >= 0 {
		b[first] -= 'a' - 'A'
	}
	return string(b)
}

// Undo gives the names in an answer the case of name, for which the caller asked. In each
// name it changes the longest suffix that equals a suffix of name.
func Undo(m *dns.Msg, name string) {
	undo := func(s *string) {
		n := 0 // the length of the common suffix
		for n < len(name) && n < len(*s) && strings.EqualFold(name[len(name)-n-1:len(name)-n], (*s)[len(*s)-n-1:len(*s)-n]) {
			n++
		}
		*s = (*s)[:len(*s)-n] + name[len(name)-n:]
	}
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range rrs {
			undo(&rr.Header().Name)
			switch rr := rr.(type) {
			case *dns.CNAME:
				undo(&rr.Target)
			case *dns.NS:
				undo(&rr.Ns)
			case *dns.PTR:
				undo(&rr.Ptr)
			case *dns.MX:
				undo(&rr.Mx)
			case *dns.SRV:
				undo(&rr.Target)
			case *dns.SOA:
				undo(&rr.Ns)
				undo(&rr.Mbox)
			}
		}
	}
}
