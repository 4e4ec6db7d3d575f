package http1

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// input is what has arrived on a stream and was not passed on yet. It holds no memory
// while there is nothing. It is not safe for concurrent use.
type input struct {
	from tunnel.Stream
	tcp  *net.TCPConn    // nil if from is no TCP connection
	raw  syscall.RawConn // of tcp

	buf        *[]byte // of the pool; nil if there is nothing
	start, end int     // where in buf the bytes are
	size       buffer.Sizer

	try func(fd uintptr) bool
	n   int // what try has read
	err error
	one [1]byte
}

// open makes the input that of a stream, from whose beginning first was read before.
func (in *input) open(s tunnel.Stream, first []byte) error {
	in.from, in.tcp = s, tunnel.TCP(s)
	if len(first) > 0 {
		in.buf = buffer.Pool().Get(max(len(first), in.size.Next()))
		in.end = copy(*in.buf, first)
	}
	if in.tcp == nil {
		return nil
	}
	var err error
	in.raw, err = in.tcp.SyscallConn()
	in.try = in.read
	return err
}

// bytes are those that have arrived. They are valid until the next call of fill.
func (in *input) bytes() []byte {
	if in.buf == nil {
		return nil
	}
	return (*in.buf)[in.start:in.end]
}

func (in *input) empty() bool { return in.start == in.end }

// skip removes the first n bytes.
func (in *input) skip(n int) {
	if in.start += n; in.start == in.end {
		in.start, in.end = 0, 0
	}
}

// release gives the memory back if there is nothing.
func (in *input) release() {
	if in.buf != nil && in.empty() {
		buffer.Pool().Put(in.buf)
		in.buf, in.start, in.end = nil, 0, 0
	}
}

// close forgets what has arrived, and gives the memory back.
func (in *input) close() {
	in.start, in.end = 0, 0
	in.release()
}

// wait waits until something arrives, and holds no memory meanwhile.
func (in *input) wait() error {
	if !in.empty() {
		return nil
	}
	if in.tcp != nil {
		return in.fill()
	}
	in.release()
	n, err := in.from.Read(in.one[:])
	if n == 0 {
		return in.ended(err)
	}
	in.buf = buffer.Pool().Get(in.size.Next())
	in.end = copy(*in.buf, in.one[:])
	return nil
}

// fill waits until more arrives. It is io.EOF at the end of the stream.
func (in *input) fill() error {
	if in.tcp == nil {
		n, err := in.from.Read(in.room())
		return in.filled(n, err)
	}
	if err := in.raw.Read(in.try); err != nil {
		return err
	}
	return in.filled(in.n, in.err)
}

// read reads without waiting. It is false if there is nothing to read.
func (in *input) read(fd uintptr) bool {
	room := in.room()
	for {
		if in.n, in.err = unix.Read(int(fd), room); !errors.Is(in.err, unix.EINTR) {
			break
		}
	}
	if errors.Is(in.err, unix.EAGAIN) {
		in.release()
		return false
	}
	return true
}

func (in *input) filled(n int, err error) error {
	if n <= 0 {
		in.release()
		return in.ended(err)
	}
	in.end += n
	in.size.Adapt(n)
	return nil
}

// room is where the next bytes go.
func (in *input) room() []byte {
	pool := buffer.Pool()
	switch {
	case in.buf == nil:
		in.buf = pool.Get(in.size.Next())
	case in.empty() && len(*in.buf) < in.size.Next():
		pool.Put(in.buf)
		in.buf = pool.Get(in.size.Next())
	case in.end == len(*in.buf) && in.start > 0:
		in.end = copy(*in.buf, in.bytes())
		in.start = 0
	case in.end == len(*in.buf):
		more := pool.Get(4 * len(*in.buf))
		copy(*more, *in.buf)
		pool.Put(in.buf)
		in.buf = more
	}
	return (*in.buf)[in.end:]
}

// ended is the error of a read that has got nothing.
func (in *input) ended(err error) error {
	if err == nil {
		return tunnel.End(in.from)
	}
	return err
}
