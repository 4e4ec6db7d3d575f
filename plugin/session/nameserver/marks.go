package nameserver

import (
	"math/rand/v2"
	"sync"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

// marks are the queries that are out, each in a spelling of its own. One that
// comes in spelled like this has gone round.
type marks struct {
	mu  sync.Mutex
	out map[string]*mark
}

type mark struct {
	to    names.Source
	count int
}

// add spells a name for a query to the cluster or to the laptop's resolvers,
// until done is called. A name without letters has but one spelling and is not
// marked.
func (m *marks) add(name string, qtype uint16, to names.Source) (spelled string, done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var key string
	for range 4 {
		if spelled = spell(name); spelled == name {
			return name, func() {}
		}
		var b [maxKey]byte
		n, err := dns.PackDomainName(spelled, b[:], 0, nil, false)
		if err != nil {
			return name, func() {}
		}
		key = string(append(b[:n], byte(qtype>>8), byte(qtype)))
		if x := m.out[key]; x == nil || x.to == to {
			break
		}
	}
	x := m.out[key]
	if x == nil {
		x = &mark{to: to}
		if m.out == nil {
			m.out = map[string]*mark{}
		}
		m.out[key] = x
	}
	x.count++
	return spelled, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if x.count--; x.count == 0 {
			delete(m.out, key)
		}
	}
}

// find says where a query was sent that has now come in.
func (m *marks) find(q *query) (to names.Source, ok bool) {
	var b [maxKey]byte
	key := append(append(b[:0], q.name...), byte(q.qtype>>8), byte(q.qtype))
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.out[string(key)]
	if x == nil {
		return 0, false
	}
	return x.to, true
}

// spell returns the name with some letters, at least one if it has any, in
// upper case.
func spell(name string) string {
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
