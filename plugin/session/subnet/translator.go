package subnet

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"sync"
)

// Translator gives real addresses a virtual one, for as long as it lives. The
// next one gives most of them the same, so that programs which keep addresses
// mean what they did. It is safe for concurrent use.
type Translator struct {
	virtual netip.Prefix

	room uint32 // how many there are to give

	mu   sync.RWMutex
	to   map[netip.Addr]netip.Addr // virtual by real
	from map[netip.Addr]netip.Addr
}

// NewTranslator takes addresses from virtual. The first of them are the TUN's
// own: see Reserved.
func NewTranslator(virtual netip.Prefix) *Translator {
	t := &Translator{virtual: virtual.Masked(), to: map[netip.Addr]netip.Addr{}, from: map[netip.Addr]netip.Addr{}}
	t.room = max(Reserved, uint32(1)<<min(virtual.Addr().BitLen()-virtual.Bits(), 31)) - Reserved
	return t
}

// Reserved is how many addresses at the start of a virtual subnet are not given
// away: the network's own, the TUN's and the name server's among them.
const Reserved = 16

// Near is the part of a virtual subnet from which Translator.Near gives
// addresses: its first 256.
func Near(virtual netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(virtual.Masked().Addr(), max(virtual.Bits(), virtual.Addr().BitLen()-8))
}

// Virtual is the address by which the laptop reaches a real one. It is the zero
// Addr if there is none left, or none of its family.
func (t *Translator) Virtual(real netip.Addr) netip.Addr { return t.give(real, t.room) }

// Near is as Virtual, with one of the addresses of the function Near.
func (t *Translator) Near(real netip.Addr) netip.Addr {
	return t.give(real, min(t.room, 1<<8-Reserved))
}

// give is the address of real, or one of the first in room that is free.
func (t *Translator) give(real netip.Addr, room uint32) netip.Addr {
	real = real.Unmap()
	if real.Is4() != t.virtual.Addr().Is4() {
		return netip.Addr{}
	}
	t.mu.RLock()
	v, ok := t.to[real]
	t.mu.RUnlock()
	if ok {
		return v
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v, ok := t.to[real]; ok {
		return v
	}
	h := fnv.New32a()
	h.Write(real.AsSlice())
	if room == 0 || uint32(len(t.to)) >= t.room {
		return netip.Addr{}
	}
	first := h.Sum32() % room
	for n := range room {
		v := t.at(Reserved + (first+n)%room)
		if _, taken := t.from[v]; !taken {
			t.to[real], t.from[v] = v, real
			return v
		}
	}
	return netip.Addr{}
}

// at is the virtual address of a number.
func (t *Translator) at(i uint32) netip.Addr {
	b := t.virtual.Addr().AsSlice()
	last := b[len(b)-4:]
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)|i)
	v, _ := netip.AddrFromSlice(b)
	return v
}

// Real is the address behind one that a program dialled. It is false for a
// virtual address that stands for nothing.
func (t *Translator) Real(a netip.Addr) (netip.Addr, bool) {
	a = a.Unmap()
	if !t.virtual.Contains(a) {
		return a, true
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	real, ok := t.from[a]
	return real, ok
}

// Len is how many virtual addresses are given away.
func (t *Translator) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.to)
}
