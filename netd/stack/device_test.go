//go:build linux

package stack

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// built is a packet of gVisor's, in pieces, and its bytes.
func built(version byte, size int) (*stack.PacketBuffer, []byte) {
	body := bytes.Repeat([]byte{version, 7}, size/2)
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: header.IPv6MinimumSize + 100, Payload: buffer.MakeWithData(body)})
	h := p.NetworkHeader().Push(header.IPv6MinimumSize)
	h[0] = version << 4
	return p, append(bytes.Clone(h), body...)
}

// A utun of macOS has four bytes in front of each packet.
func TestDevice(t *testing.T) {
	for name, skip := range map[string]int{"plain": 0, "utun": familySize} {
		t.Run(name, func(t *testing.T) {
			far, near := sockets(t)
			defer near.Close()
			d := newDevice(far, skip)
			got := make(chan []byte)
			ended := make(chan error, 1)
			go func() {
				ended <- d.receive(func(p packet) {
					b := bytes.Clone(p.head.AsSlice())
					if p.body != nil {
						b = append(b, p.body.AsSlice()...)
					}
					p.release()
					got <- b
				})
			}()
			buf := make([]byte, maxPacket+familySize)
			for version, family := range map[byte]byte{4: 2, 6: 30} {
				front := []byte{0, 0, 0, family}[:skip]
				for _, size := range []int{60, 1440, 60000} {
					p, want := built(version, size)
					for _, send := range []func() error{func() error { return d.send(p) }, func() error { return d.sendRaw(want) }} {
						if err := send(); err != nil {
							t.Fatal(err)
						}
						n, err := near.Read(buf)
						if err != nil || !bytes.Equal(buf[:n], append(bytes.Clone(front), want...)) {
							t.Errorf("IPv%d, %d bytes: %d came, %v", version, size, n, err)
						}
					}
					p.DecRef()
					if _, err := near.Write(append(bytes.Clone(front), want...)); err != nil {
						t.Fatal(err)
					}
					if b := <-got; !bytes.Equal(b, want) {
						t.Errorf("IPv%d, %d bytes: %d are delivered", version, size, len(b))
					}
				}
			}
			if skip > 0 { // nothing behind the family
				if _, err := near.Write(make([]byte, skip)); err != nil {
					t.Fatal(err)
				}
			}
			d.stop()
			if err := <-ended; err == nil {
				t.Error("receive ended without a reason")
			}
		})
	}
}

// A Stack without a descriptor works as with one.
func TestStackOfDevice(t *testing.T) {
	far, near := sockets(t)
	defer near.Close()
	s, err := New(Config{Device: far, Offload: true, Handler: funcs{ping: func(e *Echo) { e.Reply(e.Payload) }}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	from, to := hosts(false)
	ping := written(t, 1500, from, to, request(false, 56))[0]
	if _, err := near.Write(ping); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxPacket)
	if n, err := near.Read(buf); err != nil || n != len(ping) || buf[20] != uint8(header.ICMPv4EchoReply) {
		t.Errorf("got % x, %v", buf[:n], err)
	}
}
