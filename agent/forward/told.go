package forward

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

const (
	// maxValues is how many values of a header are kept, and maxValue how many bytes of
	// each. With maxHeaders names of maxHeaderName bytes they fit into frame.MaxFirst.
	maxValues, maxValue = 3, 128
	// tellTime limits the attempt to tell a session.
	tellTime = 5 * time.Second
)

// heard is what is kept of a header in the agent's memory: the latest values that differ.
type heard struct {
	secret bool // values are kept only while a route has a condition on the header
	values [][]byte
	oldest int // the next to be replaced, once there are maxValues
}

// add keeps a value. It allocates nothing once there are maxValues.
func (h *heard) add(value []byte) {
	value = value[:min(len(value), maxValue)]
	if slices.ContainsFunc(h.values, func(have []byte) bool { return bytes.Equal(have, value) }) {
		return
	}
	if len(h.values) < maxValues {
		h.values = append(h.values, append(make([]byte, 0, maxValue), value...))
		return
	}
	h.values[h.oldest] = append(h.values[h.oldest][:0], value...)
	h.oldest = (h.oldest + 1) % maxValues
}

// secret says that a header may hold credentials, by its name in lower case.
func secret(name string) bool {
	return slices.ContainsFunc([]string{"auth", "cookie", "credential", "jwt", "key", "passw", "secret", "token"},
		func(part string) bool { return strings.Contains(name, part) })
}

// named are the headers, in lower case, on which conditions are.
func named(all []match.Conditions) map[string]bool {
	var names map[string]bool
	for _, conditions := range all {
		for _, c := range conditions {
			if c.Part != match.Header {
				continue
			}
			if names == nil {
				names = map[string]bool{}
			}
			names[strings.ToLower(c.Name)] = true
		}
	}
	return names
}

// told is what the owner of a route may know of the headers that there were. A header that
// may hold credentials is masked, unless the route itself has a condition on it.
func (s *seen) told(r *Route) *rpc.SeenHeaders {
	out := &rpc.SeenHeaders{}
	if r.tally == nil || r.tally.taken.Load() > 0 {
		return out
	}
	open := named([]match.Conditions{*r.conditions})
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, h := range s.names {
		told := &rpc.SeenHeader{Name: name, Masked: h.secret && !open[name]}
		if !told.Masked {
			for _, value := range h.values {
				told.Values = append(told.Values, slices.Clone(value))
			}
		}
		out.Headers = append(out.Headers, told)
	}
	slices.SortFunc(out.Headers, func(a, b *rpc.SeenHeader) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// tell answers the question of a route's owner, through the tunnel and to its session alone.
// It does not try again: an owner without an answer may ask again.
func (p *Port) tell(r *Route) {
	ctx, cancel := context.WithTimeout(r.ctx, tellTime)
	defer cancel()
	first, err := proto.Marshal(p.seen.told(r))
	if err != nil {
		p.log.Error("encode headers", "error", err)
		return
	}
	s, err := p.Open(ctx, r, &frame.Open{Kind: frame.Headers, Protocol: frame.TCP, Target: r.question, First: first})
	if err == nil {
		s.Close() // a session answers Refused; nothing follows in any case
	}
	p.log.Debug("the session was told of headers", "intercept", r.Intercept, "answer", err)
}

// asked are the routes whose owners have a new question.
func (t *table) asked(before *table) []*Route {
	var all []*Route
	for _, r := range t.routes {
		if old := before.of(&r.Owner); r.question != "" && (old == nil || old.question != r.question) {
			all = append(all, r)
		}
	}
	return all
}
