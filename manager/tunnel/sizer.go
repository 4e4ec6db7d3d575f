package tunnel

import "sync"

// smallRead is what a flow reads into while it is quiet, so that thousands of
// idle flows do not pin large buffers. Full reads make the buffer grow.
const smallRead = 4 << 10

// bufferPool serves the payloads of every flow in the process.
var bufferPool = sync.OnceValue(func() *pool {
	// 16 KiB + 1 KiB is an HTTP/2 frame with its head, MaxPayload + 1 a data
	// message with its type byte.
	return newPool(256, smallRead+1, 16<<10+1024, 32<<10+1, MaxPayload+1, 256<<10)
})

// sizer picks read buffers that fit what a flow does.
type sizer struct{ size int }

// get returns a buffer to read into; its length is the size to read.
func (s *sizer) get() *[]byte {
	return bufferPool().Get(s.next())
}

// next is the size of the next read.
func (s *sizer) next() int {
	s.size = max(s.size, smallRead)
	return s.size
}

// put takes it back after a read of n bytes.
func (s *sizer) put(b *[]byte, n int) {
	s.adapt(n)
	bufferPool().Put(b)
}

// adapt sizes the next buffer after a read of n bytes.
func (s *sizer) adapt(n int) {
	switch {
	case n >= s.size:
		s.size = min(s.size*8, MaxPayload)
	case n < s.size/8:
		s.size = max(s.size/8, smallRead)
	}
}
