//go:build linux && !race

package stack

import (
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// TestNoAllocations counts what one packet allocates on the ways through the
// link: from the descriptor to where gVisor takes it, and from gVisor to the
// descriptor. gVisor's views and packets come from its pools and are given
// back here, so they count as well.
func TestNoAllocations(t *testing.T) {
	far, near := sockets(t)
	defer near.Close()
	w, err := newWire(Config{File: far, Offload: true})
	if err != nil {
		t.Fatal(err)
	}
	wire := w.(*tun)
	defer wire.close()
	fd := int(near.Fd())
	link := newLink(wire, 1500, true)
	link.echo = func([]byte) bool { return false }
	link.disp = sinkDispatcher{}

	buf := make([]byte, vnetSize+60000)
	buf[vnetSize], buf[vnetSize+9] = 0x45, 6
	for name, size := range map[string]int{"small": 60, "MTU": 1500, "large": 60000} {
		in := buf[:vnetSize+size]
		if n := testing.AllocsPerRun(200, func() {
			if _, err := unix.Write(fd, in); err != nil {
				t.Fatal(err)
			}
			p, errno := wire.read(uintptr(wire.fd))
			if errno != 0 || p.head == nil {
				t.Fatal(errno)
			}
			link.deliver(p)
		}); n >= 1 {
			t.Errorf("a %s packet in allocates %v times", name, n)
		}

		body := buffer.NewViewWithData(buf[:size])
		defer body.Release()
		if n := testing.AllocsPerRun(200, func() {
			p := stack.NewPacketBuffer(stack.PacketBufferOptions{
				ReserveHeaderBytes: header.IPv4MinimumSize + header.TCPMinimumSize,
				Payload:            buffer.MakeWithView(body.Clone()),
			})
			p.TransportHeader().Push(header.TCPMinimumSize)
			p.NetworkHeader().Push(header.IPv4MinimumSize)[0] = 0x45
			p.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: 1448, CsumOffset: 16}
			if err := wire.send(p); err != nil {
				t.Fatal(err)
			}
			p.DecRef()
			if _, err := unix.Read(fd, buf); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("a %s packet out allocates %v times", name, n)
		}
	}
}

// TestDeviceAllocatesNothing on the way out, where a packet is put together.
func TestDeviceAllocatesNothing(t *testing.T) {
	far, near := sockets(t)
	defer near.Close()
	d := newDevice(far, familySize)
	defer d.stop()
	fd, buf := int(near.Fd()), make([]byte, maxPacket)
	for _, size := range []int{60, 1440, 60000} {
		p, _ := built(4, size)
		defer p.DecRef()
		if n := testing.AllocsPerRun(200, func() {
			if err := d.send(p); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Read(fd, buf); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("a packet of %d bytes allocates %v times", size, n)
		}
	}
}

type sinkDispatcher struct{ stack.NetworkDispatcher }

func (sinkDispatcher) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, _ *stack.PacketBuffer) {}
