//go:build linux

package filestest

import (
	"io"
	"time"
)

// Slow makes a stream of which both directions take a while, and which has room for as much
// as anybody sends meanwhile.
func Slow(stream io.ReadWriteCloser, latency time.Duration) io.ReadWriteCloser {
	if latency == 0 {
		return stream
	}
	s := &slow{ReadWriteCloser: stream, out: make(chan late, 1<<16), in: make(chan late, 1<<16)}
	go func() {
		defer close(s.in)
		for {
			b := make([]byte, 64<<10)
			n, err := stream.Read(b)
			if n > 0 {
				s.in <- late{time.Now().Add(latency), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		for l := range s.out {
			time.Sleep(time.Until(l.due))
			// The reader learns of a broken stream.
			_, _ = stream.Write(l.data)
		}
		stream.Close()
	}()
	s.latency = latency
	return s
}

type late struct {
	due  time.Time
	data []byte
}

type slow struct {
	io.ReadWriteCloser
	latency time.Duration
	out, in chan late
	rest    []byte
}

func (s *slow) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		l, ok := <-s.in
		if !ok {
			return 0, io.EOF
		}
		time.Sleep(time.Until(l.due))
		s.rest = l.data
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *slow) Write(b []byte) (int, error) {
	s.out <- late{time.Now().Add(s.latency), append([]byte(nil), b...)}
	return len(b), nil
}
