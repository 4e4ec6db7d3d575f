package wire

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// MaxKey is the length of the longest key.
const MaxKey = 255 + 3

// How is how a question is asked: a set of bits.
type How byte

// What tells apart questions for the same name and type.
const (
	WithDO How = 1 << iota
	WithCD
	// ForCluster: it is the cluster's name server that asks, for what the laptop's
	// resolvers know.
	ForCluster
)

// Question is a query that is independent of its packet. Equal questions have
// equal answers.
type Question struct {
	Name string // in lower case, with its last dot
	Type uint16
	How  How
}

// AppendKey appends the Question.Key of a query to b.
func (q *Query) AppendKey(b []byte) []byte {
	for _, c := range q.Name { // no length of a label is a letter
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	var how How
	if q.do {
		how |= WithDO
	}
	if q.flags&bitCD != 0 {
		how |= WithCD
	}
	return append(b, byte(q.Type>>8), byte(q.Type), byte(how))
}

// ParseKey returns the question of a key.
func ParseKey(key string) (Question, error) {
	n := len(key) - 3
	name, _, err := dns.UnpackDomainName([]byte(key[:n]), 0)
	if err != nil {
		return Question{}, err
	}
	return Question{Name: name, Type: uint16(key[n])<<8 | uint16(key[n+1]), How: How(key[n+2])}, nil
}

// Key is the form in which questions are compared: the name in wire form, the type,
// and how it is asked. It is "" for a name that is too long for a query.
func (q Question) Key() string {
	var b [MaxKey]byte
	n, err := dns.PackDomainName(q.Name, b[:], 0, nil, false)
	if err != nil {
		return ""
	}
	return string(append(binary.BigEndian.AppendUint16(b[:n], q.Type), byte(q.How)))
}

// OtherFamily is the same question for addresses of the other family; false if it
// is not for addresses.
func (q Question) OtherFamily() (Question, bool) {
	switch q.Type {
	case dns.TypeA:
		q.Type = dns.TypeAAAA
	case dns.TypeAAAA:
		q.Type = dns.TypeA
	default:
		return q, false
	}
	return q, true
}
