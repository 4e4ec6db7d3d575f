package buffer

import "sync"

// smallRead is the size of a quiet flow's reads, so that thousands of idle flows do
// not pin large buffers. Full reads make it grow.
const smallRead = 4 << 10

// Max is the largest buffer that a Sizer asks for: the payload of one message
// on a carrier.
const Max = 128 << 10

// shared is one pool for all flows of the process: its buffers are of use to
// every one of them, and what it keeps is bounded once.
var shared = sync.OnceValue(func() *pool {
	// 16 KiB + 1 KiB is an HTTP/2 frame with its head, Max + 1 a data
	// message with its type byte.
	return newPool(256, smallRead+1, 16<<10+1024, 32<<10+1, Max+1, 256<<10)
})

// Sizer chooses the size of a flow's next read by what the last reads returned. The
// zero value is ready.
type Sizer struct{ size int }

// Next is the size of the next read.
func (s *Sizer) Next() int {
	s.size = max(s.size, smallRead)
	return s.size
}

// Adapt sizes the next buffer after a read of n bytes.
func (s *Sizer) Adapt(n int) {
	switch {
	case n >= s.size:
		s.size = min(s.size*8, Max)
	case n < s.size/8:
		s.size = max(s.size/8, smallRead)
	}
}
