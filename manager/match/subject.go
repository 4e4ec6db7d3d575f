package match

import (
	"bytes"
	"strings"
)

// subject is what a condition is about: a part of a request, and a name in it.
type subject struct {
	part Part
	name string // a header's in lower case
}

// subjects are those of a Table, by their numbers.
type subjects struct {
	all     []subject
	numbers [Method + 1]map[string]int // by part and name
	// lengths has bit n set if a header whose name has n characters is read; bit 63 is
	// for all longer ones.
	lengths uint64
}

// The headers that have members of their own.
const (
	baggageHeader    = "baggage"
	tracestateHeader = "tracestate"
	cookieHeader     = "cookie"
)

// space is what may stand around values and members (RFC 9110, section 5.6.3).
const space = " \t"

// add returns the number of a subject.
func (s *subjects) add(part Part, name string) int {
	name = fold(part, name)
	if n, known := s.numbers[part][name]; known {
		return n
	}
	if s.numbers[part] == nil {
		s.numbers[part] = map[string]int{}
	}
	n := len(s.all)
	s.numbers[part][name] = n
	s.all = append(s.all, subject{part, name})
	header, inside := map[Part]string{Header: name, Baggage: baggageHeader, Tracestate: tracestateHeader, Cookie: cookieHeader}[part]
	if inside {
		s.lengths |= 1 << min(len(header), 63)
	}
	return n
}

// fold is a name as it is compared: that of a header has no case.
func fold(p Part, name string) string {
	if p == Header {
		return strings.ToLower(name)
	}
	return name
}

// maxValues is how many values of one name are read, so that a request with thousands of
// them costs little.
const maxValues = 64

// scratch is what was read of one request.
type scratch struct {
	values  [][][]byte // by subject
	present []int      // the subjects that have values
	request uint64     // counts the requests
	checked []uint64   // by set: the request that it was last checked for
	name    []byte     // the name of a header in lower case
	decoded []byte     // what values refer to that were encoded
	baggage budget
	states  budget
}

// budget is how much of a header is still read.
type budget struct{ members, bytes int }

func (s *scratch) add(subject int, value []byte) {
	switch len(s.values[subject]) {
	case maxValues:
		return
	case 0:
		s.present = append(s.present, subject)
	}
	s.values[subject] = append(s.values[subject], value)
}

// reset forgets the request. It keeps the memory for the next one.
func (s *scratch) reset() {
	for _, n := range s.present {
		clear(s.values[n])
		s.values[n] = s.values[n][:0]
	}
	s.present, s.decoded = s.present[:0], s.decoded[:0]
}

// read reads the values of all subjects.
func (s *subjects) read(r *Request, to *scratch) {
	to.request++
	to.baggage, to.states = budget{maxBaggageMembers, maxBaggageBytes}, budget{maxTraceMembers, maxTraceBytes}
	for i := range r.Fields {
		if f := &r.Fields[i]; s.lengths&(1<<min(len(f.Name), 63)) != 0 {
			s.readField(f, to)
		}
	}
	if n, wanted := s.numbers[Path][""]; wanted {
		to.add(n, r.Path)
	}
	if n, wanted := s.numbers[Method][""]; wanted {
		to.add(n, r.Method)
	}
	if names := s.numbers[Query]; names != nil {
		readQuery(r.Query, names, to)
	}
}

// readField reads one line of a header.
func (s *subjects) readField(f *Field, to *scratch) {
	to.name = to.name[:0]
	for _, c := range f.Name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to.name = append(to.name, c)
	}
	value := bytes.Trim(f.Value, space)
	if n, wanted := s.numbers[Header][string(to.name)]; wanted {
		to.add(n, value)
	}
	switch string(to.name) {
	case baggageHeader:
		if names := s.numbers[Baggage]; names != nil {
			readBaggage(value, names, to)
		}
	case tracestateHeader:
		if names := s.numbers[Tracestate]; names != nil {
			readTracestate(value, names, to)
		}
	case cookieHeader:
		if names := s.numbers[Cookie]; names != nil {
			readCookies(value, names, to)
		}
	}
}
