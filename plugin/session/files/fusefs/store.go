//go:build linux

package fusefs

import (
	"container/list"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// storeSize is how many bytes of small files are kept.
const storeSize = 64 << 20

// store keeps what is in small files, by path. The least recently used go first.
type store struct {
	mu    sync.Mutex
	limit int
	size  int
	order *list.List // of *kept, the last used first
	files map[string]*list.Element
}

type kept struct {
	path string
	attr volume.Attr
	data []byte
}

func newStore(limit int) *store {
	return &store{limit: limit, order: list.New(), files: map[string]*list.Element{}}
}

// get returns what is in a file that has these attributes.
func (s *store) get(path string, a *volume.Attr) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.files[path]
	if !ok {
		return nil, false
	}
	k := e.Value.(*kept)
	if !k.attr.Same(a) {
		s.drop(e)
		return nil, false
	}
	s.order.MoveToFront(e)
	return k.data, true
}

func (s *store) put(path string, a volume.Attr, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.files[path]; ok {
		s.drop(e)
	}
	s.files[path] = s.order.PushFront(&kept{path, a, data})
	for s.size += cost(data); s.size > s.limit; {
		s.drop(s.order.Back())
	}
}

func (s *store) drop(e *list.Element) {
	k := s.order.Remove(e).(*kept)
	delete(s.files, k.path)
	s.size -= cost(k.data)
}

// cost counts what a file takes beside its bytes.
func cost(data []byte) int { return len(data) + 512 }
