package capture

import (
	"net"
	"net/netip"
	"sync"
)

// ProofBook has the source addresses of the agent's own test connections. By them, the
// listener to which a port is redirected distinguishes test connections from those of
// callers. The zero value is ready for use.
type ProofBook struct {
	mu     sync.Mutex
	nonces map[netip.AddrPort][16]byte
}

// Answer returns the bytes with which the listener must answer a connection or datagram
// from source. It returns false if source is not the address of a test connection.
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

// Unmap converts an IPv4-mapped IPv6 address, as dual-stack sockets return it, to IPv4.
func Unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// PodAddrs returns one global address of each IP family from the pod's interfaces. If
// there is none, it returns 127.0.0.1.
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
