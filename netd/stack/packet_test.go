package stack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// written returns the packets that an ICMP message becomes.
func written(t testing.TB, mtu int, from, to netip.Addr, msg []byte) (packets [][]byte) {
	w := &icmpWriter{mtu: mtu, send: func(b []byte) error {
		packets = append(packets, bytes.Clone(b))
		return nil
	}}
	if err := w.write(from, to, msg); err != nil {
		t.Fatal(err)
	}
	return packets
}

func request(v6 bool, size int) []byte {
	msg := make([]byte, 8+size)
	msg[0] = 8
	if v6 {
		msg[0] = 128
	}
	for i := range size {
		msg[8+i] = byte(i)
	}
	return msg
}

func hosts(v6 bool) (from, to netip.Addr) {
	if v6 {
		return netip.MustParseAddr("fd99::1"), netip.MustParseAddr("fd99::2")
	}
	return netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.2")
}

// TestFragments cuts messages and puts them together, in any order and with
// pieces that come twice.
func TestFragments(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, size := range []int{1, 1452, 1472, 1473, 3000, 65000} {
			from, to := hosts(v6)
			msg := request(v6, size)
			packets := written(t, 1500, from, to, msg)
			for _, p := range packets {
				if len(p) > 1500 {
					t.Fatalf("a piece of %d bytes", len(p))
				}
			}
			for name, order := range map[string]func([][]byte) [][]byte{
				"in order": func(p [][]byte) [][]byte { return p },
				"reversed": func(p [][]byte) [][]byte { p = slices.Clone(p); slices.Reverse(p); return p },
				"twice":    func(p [][]byte) [][]byte { return append(p[:len(p)-1:len(p)-1], p...) },
			} {
				f := fragments{now: time.Now}
				var got []byte
				for _, b := range order(packets) {
					p, ok := parseICMP(b)
					if !ok || p.src != from || p.dst != to {
						t.Fatalf("v6 %v, %d bytes: piece not understood: %+v", v6, size, p)
					}
					if !p.fragment {
						got = p.body
					} else if m := f.add(p); m != nil {
						got = m
					}
				}
				if !bytes.Equal(got, msg) || !echoRequest(from, to, got) {
					t.Errorf("v6 %v, %d bytes, %s: %d bytes came together", v6, size, name, len(got))
				}
				if len(f.parcels) > 0 {
					t.Errorf("%d parcels stay", len(f.parcels))
				}
			}
		}
	}
}

func TestFragmentsAreBounded(t *testing.T) {
	now := time.Unix(0, 0)
	f := fragments{now: func() time.Time { return now }}
	from, to := hosts(false)
	piece := icmpPacket{src: from, dst: to, body: make([]byte, 8), fragment: true, more: true}
	for i := range uint32(1000) {
		piece.id = i
		f.add(piece)
		now = now.Add(time.Millisecond)
	}
	if len(f.parcels) != maxParcels {
		t.Errorf("%d parcels, want %d", len(f.parcels), maxParcels)
	}
	if f.parcels[parcelKey{from, to, 999}] == nil {
		t.Error("the newest went, not the oldest")
	}
	now = now.Add(parcelLife + time.Second)
	piece.id = 1000
	f.add(piece)
	if len(f.parcels) != 1 {
		t.Errorf("%d parcels after their time", len(f.parcels))
	}
}

func TestParseBehindExtensionHeaders(t *testing.T) {
	from, to := hosts(true)
	plain := written(t, 1500, from, to, request(true, 10))[0]
	for name, ext := range map[string][]byte{
		"hop by hop":              {58, 0, 1, 4, 0, 0, 0, 0},
		"destination, 16 bytes":   append([]byte{58, 1}, make([]byte, 14)...),
		"fragment that is whole":  {58, 0, 0, 0, 0, 0, 0, 9},
		"hop by hop, destination": append([]byte{60, 0, 1, 4, 0, 0, 0, 0}, 58, 0, 1, 4, 0, 0, 0, 0),
	} {
		b := slices.Concat(plain[:40], ext, plain[40:])
		b[6] = map[string]byte{"destination, 16 bytes": 60, "fragment that is whole": 44}[name]
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
		p, ok := parseICMP(b)
		if !ok || p.fragment || !echoRequest(p.src, p.dst, p.body) {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestVnet(t *testing.T) {
	for name, c := range map[string]struct {
		in           [vnetSize]byte
		verified, ok bool
	}{
		"plain":             {[vnetSize]byte{}, false, true},
		"checksum to do":    {[vnetSize]byte{vnetNeedsCsum}, true, true},
		"checksum seen":     {[vnetSize]byte{vnetDataValid}, true, true},
		"TSO":               {[vnetSize]byte{vnetNeedsCsum, gsoTCPv4}, true, true},
		"TSO with ECN, v6":  {[vnetSize]byte{vnetNeedsCsum, gsoTCPv6 | gsoECN}, true, true},
		"UDP, not asked of": {[vnetSize]byte{vnetNeedsCsum, 5}, false, false},
	} {
		if verified, ok := readVnet(&c.in); verified != c.verified || ok != c.ok {
			t.Errorf("%s: verified %v, ok %v", name, verified, ok)
		}
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 52})
	defer p.DecRef()
	p.TransportHeader().Push(32)
	p.NetworkHeader().Push(20)
	p.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, CsumOffset: 16, MSS: 1448}
	h := [vnetSize]byte{0: 0xff, 9: 0xff}
	writeVnet(&h, p)
	want := [vnetSize]byte{0: vnetNeedsCsum}
	binary.NativeEndian.PutUint16(want[6:], 20)
	binary.NativeEndian.PutUint16(want[8:], 16)
	if h != want {
		t.Errorf("a segment's header is %x, want %x", h, want)
	}
	p.GSOOptions = stack.GSO{}
	writeVnet(&h, p)
	if h != [vnetSize]byte{} {
		t.Errorf("header without offload %x", h)
	}
}

func FuzzPacket(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		from, to := hosts(v6)
		for _, size := range []int{0, 56, 3000} {
			for _, b := range written(f, 1500, from, to, request(v6, size)) {
				f.Add(b, []byte{vnetNeedsCsum, gsoTCPv4})
			}
		}
	}
	f.Fuzz(func(t *testing.T, b, vnet []byte) {
		var h [vnetSize]byte
		copy(h[:], vnet)
		readVnet(&h)
		pieces := fragments{now: time.Now}
		p, ok := parseICMP(b)
		if !ok {
			return
		}
		if !maybeICMP(b) {
			t.Fatal("parsed what cannot be ICMP")
		}
		if p.src.Is6() != p.dst.Is6() || len(p.body) > len(b) {
			t.Fatalf("%+v", p)
		}
		msg := p.body
		if p.fragment {
			msg = pieces.add(p)
			p.offset, p.more = p.offset+len(p.body), false
			if m := pieces.add(p); m != nil {
				msg = m
			}
		}
		if !echoRequest(p.src, p.dst, msg) {
			return
		}
		(&Echo{From: p.src, To: p.dst, Payload: msg[8:], icmp: &icmpWriter{mtu: 1500, send: func(out []byte) error {
			if len(out) > 1500 {
				t.Fatalf("a piece of %d bytes", len(out))
			}
			if q, ok := parseICMP(out); !ok || q.src != p.dst || q.dst != p.src {
				t.Fatalf("our own answer is not understood: %+v", q)
			}
			return nil
		}}}).Reply(msg[8:])
	})
}
