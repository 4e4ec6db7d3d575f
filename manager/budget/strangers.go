package budget

import (
	"container/list"
	"context"
	"fmt"
	"sync"
)

// Strangers are connections whose peers have not proven who they are, by address. When
// there are too many, the connection that has waited longest is closed: of that address,
// or of the address that has the most. It is safe for concurrent use.
type Strangers struct {
	refusals  *refusals
	all, each int

	mu      sync.Mutex
	waiting map[string]*list.List // of *Visit, the one that has waited longest in front
	total   int
}

func newStrangers(r *refusals, all, each int) *Strangers {
	return &Strangers{refusals: r, all: all, each: each, waiting: map[string]*list.List{}}
}

// Visit is one connection of a stranger. Its methods may be called on nil, which is a
// connection that nobody counts.
type Visit struct {
	of      *Strangers
	address string
	close   func()
	place   *list.Element // nil while the connection is not among the waiting; under of.mu
	over    bool          // it was closed, or the peer is known; under of.mu
}

// Enter counts a connection until Known. Close is called, from any goroutine, if the
// connection has to make room.
func (s *Strangers) Enter(address string, close func()) *Visit {
	v := &Visit{of: s, address: address, close: close}
	s.wait(v)
	return v
}

// Known says that the peer has proven who it is, or that the connection is closed.
func (v *Visit) Known() {
	if v == nil {
		return
	}
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	v.over = true
	v.of.remove(v)
}

// Busy says that the connection is being served until the returned function is called. It
// does not have to make room meanwhile, and something else bounds how long that is.
func (v *Visit) Busy() (done func()) {
	if v == nil {
		return func() {}
	}
	v.of.mu.Lock()
	v.of.remove(v)
	v.of.mu.Unlock()
	return func() { v.of.wait(v) }
}

// wait puts a connection behind all others of its address, and closes one if they are too
// many.
func (s *Strangers) wait(v *Visit) {
	if gone, bound := s.add(v); gone != nil {
		s.refusals.refuse(Stranger, gone.address, "connections", fmt.Sprintf("%d connections that have not said whose they are", bound))
		gone.close()
	}
}

// add returns the connection that has to make room, and because of which bound.
func (s *Strangers) add(v *Visit) (gone *Visit, bound int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.over || v.place != nil {
		return nil, 0
	}
	own := s.waiting[v.address]
	switch {
	case own != nil && own.Len() >= s.each:
		gone, bound = s.oldest(own), s.each
	case s.total >= s.all:
		gone, bound = s.oldest(s.longest()), s.all
	}
	if own = s.waiting[v.address]; own == nil {
		own = list.New()
		s.waiting[v.address] = own
	}
	v.place = own.PushBack(v)
	s.total++
	return gone, bound
}

// longest is the list of the address with the most connections.
func (s *Strangers) longest() *list.List {
	var most *list.List
	for _, l := range s.waiting {
		if most == nil || l.Len() > most.Len() {
			most = l
		}
	}
	return most
}

// oldest takes the connection out of a list that has waited longest.
func (s *Strangers) oldest(l *list.List) *Visit {
	v, ok := l.Front().Value.(*Visit)
	if !ok {
		return nil
	}
	v.over = true
	s.remove(v)
	return v
}

func (s *Strangers) remove(v *Visit) {
	if v.place == nil {
		return
	}
	own := s.waiting[v.address]
	own.Remove(v.place)
	v.place = nil
	s.total--
	if own.Len() == 0 {
		delete(s.waiting, v.address)
	}
}

// Len is how many there are.
func (s *Strangers) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

type visitKey struct{}

// With returns a context that carries the Visit of the connection that a request came by.
func With(ctx context.Context, v *Visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

// VisitOf is the Visit that With put into the context; nil if there is none.
func VisitOf(ctx context.Context) *Visit {
	v, _ := ctx.Value(visitKey{}).(*Visit)
	return v
}
