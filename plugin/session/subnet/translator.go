package subnet

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"sync"
)

// Translator gives virtual addresses to real ones, for as long as it lives. A later
// Translator gives most of them the same virtual addresses, so that programs can keep
// them. It is safe for concurrent use.
type Translator struct {
	virtual netip.Prefix
	size    uint32 // how many addresses it can give

	mu   sync.RWMutex
	to   map[netip.Addr]netip.Addr // virtual by real
	from map[netip.Addr]netip.Addr
}

// NewTranslator returns a Translator that gives addresses of virtual, but for the
// Reserved ones.
func NewTranslator(virtual netip.Prefix) *Translator {
	t := &Translator{virtual: virtual.Masked(), to: map[netip.Addr]netip.Addr{}, from: map[netip.Addr]netip.Addr{}}
	t.size = max(Reserved, uint32(1)<<min(virtual.Addr().BitLen()-virtual.Bits(), 31)) - Reserved
	return t
}

// Reserved is how many addresses at the start of a virtual subnet a Translator does
// not give: the network's own, the TUN's and the name server's are among them.
const Reserved = 16

// External is the part of a virtual subnet for external addresses: its first 256.
func External(virtual netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(virtual.Masked().Addr(), max(virtual.Bits(), virtual.Addr().BitLen()-8))
}

// Virtual is the address by which the laptop reaches a real one. It is the zero
// Addr if there is none left, or none of its family.
func (t *Translator) Virtual(real netip.Addr) netip.Addr { return t.give(real, t.size) }

// External is like Virtual, and gives addresses of the part for external ones.
func (t *Translator) External(real netip.Addr) netip.Addr {
	return t.give(real, min(t.size, 1<<8-Reserved))
}

// give returns the virtual address of real. If it has none yet, it gets a free one
// among the first n.
func (t *Translator) give(real netip.Addr, n uint32) netip.Addr {
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
	if n == 0 || uint32(len(t.to)) >= t.size {
		return netip.Addr{}
	}
	first := h.Sum32() % n
	for i := range n {
		v := t.at(Reserved + (first+i)%n)
		if _, taken := t.from[v]; !taken {
			t.to[real], t.from[v] = v, real
			return v
		}
	}
	return netip.Addr{}
}

// at is the virtual address with an index.
func (t *Translator) at(i uint32) netip.Addr {
	b := t.virtual.Addr().AsSlice()
	last := b[len(b)-4:]
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)|i)
	v, _ := netip.AddrFromSlice(b)
	return v
}

// Real returns the address for which one that a program dialed stands: an address that
// is not virtual stands for itself. It is false for a virtual address that was not
// given.
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
