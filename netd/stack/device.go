package stack

import (
	"io"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// familySize is that of the address family which precedes every packet of a
// tunnel device of macOS (net/if_utun.h).
const familySize = 4

// device is the wire of what reads and writes one packet at a time.
type device struct {
	dev  io.ReadWriteCloser
	skip int // familySize, or 0
	out  sync.Pool
}

func newDevice(dev io.ReadWriteCloser, skip int) *device {
	d := &device{dev: dev, skip: skip}
	d.out.New = func() any {
		b := make([]byte, 0, maxPacket+familySize)
		return &b
	}
	return d
}

func (d *device) stop()        { d.dev.Close() }
func (d *device) close() error { return nil }

func (d *device) receive(deliver func(packet)) error {
	b := make([]byte, maxPacket+d.skip)
	for {
		n, err := d.dev.Read(b)
		if n > d.skip {
			deliver(split(b[d.skip:n]))
		}
		if err != nil {
			return err
		}
	}
}

// split makes a packet of a copy of b.
func split(b []byte) (p packet) {
	p.head = buffer.NewViewWithData(b[:min(headSize, len(b))])
	if len(b) > headSize {
		p.body = buffer.NewViewWithData(b[headSize:])
	}
	return p
}

func (d *device) send(p *stack.PacketBuffer) error {
	out := d.out.Get().(*[]byte)
	defer d.out.Put(out)
	b := (*out)[:d.skip]
	list, skip := p.AsViewList()
	for v := list.Front(); v != nil; v = v.Next() {
		part := v.AsSlice()
		if skip >= len(part) {
			skip -= len(part)
			continue
		}
		b = append(b, part[skip:]...)
		skip = 0
	}
	return d.write(b)
}

func (d *device) sendRaw(packet []byte) error {
	if d.skip == 0 {
		return d.write(packet)
	}
	out := d.out.Get().(*[]byte)
	defer d.out.Put(out)
	return d.write(append((*out)[:d.skip], packet...))
}

// write writes a packet behind room for its address family.
func (d *device) write(b []byte) error {
	if d.skip > 0 && len(b) > d.skip {
		const inet, inet6 = 2, 30 // of sys/socket.h
		family := byte(inet)
		if b[d.skip]>>4 == 6 {
			family = inet6
		}
		copy(b, []byte{0, 0, 0, family})
	}
	_, err := d.dev.Write(b)
	return err
}
