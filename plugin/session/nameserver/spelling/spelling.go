// Package spelling gives the name in each query that is sent a random spelling: some
// of its letters are in upper case, which no resolver minds (the "0x20 bits").
//
// An answer has to repeat the spelling, which a forger cannot know. And a query
// that comes in spelled like one that was sent is that query, which has gone round.
package spelling

import (
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

// Sent are the queries that were sent and have no answer yet. The zero value is
// empty and ready; it is safe for concurrent use.
type Sent struct {
	mu      sync.Mutex
	queries map[string]*sent // by spelled name, in wire form, and type
}

type sent struct {
	to    names.Source
	count int
}

// Add spells a name for a query to the cluster or to the laptop's resolvers. The
// query counts as sent until done is called. A name without letters has but one
// spelling, and is not remembered.
func (s *Sent) Add(name string, qtype uint16, to names.Source) (spelled string, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var k string
	for range 4 { // another spelling if this one is on its way elsewhere
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

// Find says where a query was sent that comes in now. Its name is in wire form.
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

// Random returns the name, which is in lower case, with some letters in upper
// case: at least one if it has any.
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

// Undo gives the names in an answer the spelling of name, which was asked for, as
// far as they end like it.
func Undo(m *dns.Msg, name string) {
	undo := func(s *string) {
		n := 0 // the length of the common end
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
