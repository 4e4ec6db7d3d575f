package capture

import (
	"net"
	"net/netip"
	"sync"
)

// ProofBook has the source addresses of the agent's own test connections, by which
// the listener at the other end of a redirect tells them from callers'. The zero
// value is ready.
type ProofBook struct {
	mu     sync.Mutex
	nonces map[netip.AddrPort][16]byte
}

// Answer returns what to answer to a connection or datagram from source, if that is
// a test.
func (b *ProofBook) Answer(source netip.AddrPort) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	nonce, ok := b.nonces[Unmap(source)]
	return nonce[:], ok
}

func (b *ProofBook) add(source netip.AddrPort, nonce [16]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.nonces == nil {
		b.nonces = map[netip.AddrPort][16]byte{}
	}
	b.nonces[source] = nonce
}

func (b *ProofBook) remove(source netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.nonces, source)
}

// Unmap returns a without the form that a dual-stack socket gives to IPv4.
func Unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// PodAddrs returns one global address of each family found on the interfaces,
// loopback excluded; 127.0.0.1 when there is none.
func PodAddrs() []netip.Addr {
	var found []netip.Addr
	list, _ := net.InterfaceAddrs() // none: loopback is tried
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().IsGlobalUnicast() {
			continue
		}
		if len(found) == 0 || (len(found) == 1 && found[0].Is4() != p.Addr().Is4()) {
			found = append(found, p.Addr())
		}
	}
	if len(found) == 0 {
		found = append(found, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return found
}
