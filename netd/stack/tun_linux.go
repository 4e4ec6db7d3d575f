package stack

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// tun is the wire of a TUN's descriptor, or of a socket that keeps packets
// apart.
type tun struct {
	file   *os.File
	raw    syscall.RawConn
	fd     int
	offset int // of the packet: vnetSize with offload, else 0

	in      [vnetSize]byte
	stopped atomic.Bool
	view    *buffer.View // what the next packet is read into
	frames  sync.Pool    // of *frame
}

// frame is a packet on its way out.
type frame struct {
	head  [vnetSize]byte
	parts []unix.Iovec
	rest  []byte
}

// maxParts is UIO_MAXIOV of linux/uio.h.
const maxParts = 1024

func newWire(cfg Config) (wire, error) {
	if cfg.Device != nil {
		return newDevice(cfg.Device, 0), nil
	}
	if cfg.File == nil {
		return nil, errors.New("no network device: Config has neither File nor Device")
	}
	// The file may be one that blocks: Go's poller takes only descriptors
	// that did not when they became a file.
	raw, err := cfg.File.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	cerr := raw.Control(func(f uintptr) {
		if err = unix.SetNonblock(int(f), true); err == nil {
			fd, err = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 3)
		}
	})
	if err = errors.Join(cerr, err); err != nil {
		return nil, fmt.Errorf("take over %s: %w", cfg.File.Name(), err)
	}
	t := &tun{fd: fd, file: os.NewFile(uintptr(fd), cfg.File.Name())}
	if t.raw, err = t.file.SyscallConn(); err != nil {
		t.file.Close()
		return nil, err
	}
	if cfg.Offload {
		t.offset = vnetSize
	}
	t.frames.New = func() any { return &frame{parts: make([]unix.Iovec, 0, 16)} }
	cfg.File.Close()
	return t, nil
}

func (t *tun) close() error { return t.file.Close() }

func (t *tun) stop() {
	t.stopped.Store(true)
	t.file.SetDeadline(time.Unix(1, 0))
}

// receive reads as long as there are packets before it waits again.
func (t *tun) receive(deliver func(packet)) error {
	defer func() {
		if t.view != nil {
			t.view.Release()
		}
	}()
	var failed error
	drain := func(fd uintptr) bool {
		for !t.stopped.Load() {
			p, errno := t.read(fd)
			switch {
			case errno == unix.EAGAIN:
				return false
			case errno != 0:
				failed = errno
				return true
			case p.head != nil:
				deliver(p)
			}
		}
		failed = os.ErrClosed
		return true
	}
	err := t.raw.Read(drain)
	return fmt.Errorf("read %s: %w", t.file.Name(), errors.Join(err, failed))
}

// read reads one packet, its headers to memory of their own: gVisor copies
// the whole chunk that a header is in when the packet is shared. The rest
// comes in the read buffer itself when it is large, and a new buffer takes its
// place; else in a copy of its own size, so that a small packet that waits
// holds little memory.
func (t *tun) read(fd uintptr) (p packet, errno unix.Errno) {
	if t.view == nil {
		t.view = buffer.NewViewSize(buffer.MaxChunkSize)
	}
	head := buffer.NewViewSize(headSize)
	h, b := head.AsSlice(), t.view.AsSlice()
	parts := [3]unix.Iovec{{Base: &t.in[0]}, {Base: &h[0]}, {Base: &b[0]}}
	parts[0].SetLen(vnetSize)
	parts[1].SetLen(headSize)
	parts[2].SetLen(len(b))
	used := parts[:]
	if t.offset == 0 {
		used = parts[1:]
	}
	var n uintptr
	for {
		n, _, errno = unix.Syscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(&used[0])), uintptr(len(used)))
		if errno != unix.EINTR {
			break
		}
	}
	if errno == 0 && n == 0 {
		errno = unix.ENODEV // only sockets end like this
	}
	size, ok := int(n)-t.offset, true
	if errno == 0 && t.offset > 0 {
		p.verified, ok = readVnet(&t.in)
	}
	if errno != 0 || size <= 0 || !ok {
		head.Release()
		return packet{}, errno
	}
	p.head = head
	switch size -= headSize; {
	case size <= 0:
		head.CapLength(headSize + size)
	case size <= copyLimit:
		p.body = buffer.NewViewWithData(b[:size])
	default:
		p.body, t.view = t.view, nil
		p.body.CapLength(size)
	}
	return p, 0
}

func (t *tun) send(p *stack.PacketBuffer) error {
	f := t.frames.Get().(*frame)
	f.parts = f.parts[:0]
	if t.offset > 0 {
		writeVnet(&f.head, p)
		f.add(f.head[:])
	}
	list, skip := p.AsViewList()
	for v := list.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		if len(f.parts) == maxParts-1 { // the rest in one piece
			f.rest = f.rest[:0]
			for ; v != nil; v = v.Next() {
				f.rest = append(f.rest, v.AsSlice()[skip:]...)
				skip = 0
			}
			f.add(f.rest)
			break
		}
		f.add(b[skip:])
		skip = 0
	}
	err := t.write(f)
	t.frames.Put(f)
	return err
}

func (t *tun) sendRaw(b []byte) error {
	f := t.frames.Get().(*frame)
	f.parts = f.parts[:0]
	if t.offset > 0 {
		f.head = [vnetSize]byte{}
		f.add(f.head[:])
	}
	f.add(b)
	err := t.write(f)
	t.frames.Put(f)
	return err
}

func (f *frame) add(b []byte) {
	if len(b) == 0 {
		return
	}
	f.parts = append(f.parts, unix.Iovec{Base: &b[0]})
	f.parts[len(f.parts)-1].SetLen(len(b))
}

// write sends a frame. The link sees to it that nobody closes meanwhile.
func (t *tun) write(f *frame) error {
	errno := writev(uintptr(t.fd), f.parts)
	if errno == unix.EAGAIN { // never of a TUN, but of a socket
		return t.writeLater(f)
	}
	clear(f.parts)
	if errno != 0 {
		return errno
	}
	return nil
}

func (t *tun) writeLater(f *frame) error {
	var errno unix.Errno
	err := t.raw.Write(func(fd uintptr) bool {
		errno = writev(fd, f.parts)
		return errno != unix.EAGAIN
	})
	clear(f.parts)
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

func writev(fd uintptr, parts []unix.Iovec) unix.Errno {
	for {
		_, _, errno := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&parts[0])), uintptr(len(parts)))
		if errno != unix.EINTR {
			return errno
		}
	}
}
