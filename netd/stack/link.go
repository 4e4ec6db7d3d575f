package stack

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	maxPacket = 65535
	// A packet larger than this fills the same pooled chunk of gVisor as the
	// whole read buffer does, so the buffer itself is handed on.
	copyLimit = 32 << 10
)

// packet is one that came from the kernel. Who gets it releases the views.
type packet struct {
	head     *buffer.View // at least the headers of IP and TCP
	body     *buffer.View // what does not fit there; may be nil
	verified bool         // its checksums need no look
}

// headSize holds the largest headers of IPv4 and TCP, 120 bytes.
const headSize = 128

// wire carries packets to and from the kernel.
type wire interface {
	// receive calls deliver for every packet until stop; then it returns.
	receive(deliver func(packet)) error
	// send sends one packet, which stays the caller's.
	send(pkt *stack.PacketBuffer) error
	// sendRaw sends a complete IP packet.
	sendRaw(b []byte) error
	// stop ends receive and every send that waits.
	stop()
	// close comes after stop, when nobody sends any more.
	close() error
}

// link is gVisor's link endpoint over a wire.
type link struct {
	wire wire
	mtu  atomic.Uint32
	gso  stack.SupportedGSO
	// echo hears of every packet first; true means that it was taken.
	echo func(b []byte) bool
	gone func(error)

	disp     stack.NetworkDispatcher
	verified atomic.Bool // of the packet being delivered

	syns    chan *stack.PacketBuffer // to be sent by another goroutine
	mu      sync.RWMutex             // held by those who write
	ended   atomic.Bool
	over    chan struct{}
	running sync.WaitGroup
}

// maxSYNs is how many SYN-ACKs may wait for the goroutine that sends them.
const maxSYNs = 256

func newLink(w wire, mtu int, gso bool) *link {
	l := &link{wire: w, gso: stack.GSONotSupported, syns: make(chan *stack.PacketBuffer, maxSYNs), over: make(chan struct{})}
	if gso {
		l.gso = stack.HostGSOSupported
	}
	l.mtu.Store(uint32(mtu))
	return l
}

// start reads packets until shut.
func (l *link) start() {
	l.running.Go(l.greet)
	l.running.Go(func() {
		if err := l.wire.receive(l.deliver); !l.ended.Load() {
			l.gone(err)
		}
	})
}

func (l *link) deliver(p packet) {
	b := p.head.AsSlice()
	if l.take(p) {
		p.release()
		return
	}
	var proto tcpip.NetworkProtocolNumber
	switch b[0] >> 4 {
	case 4:
		proto = header.IPv4ProtocolNumber
	case 6:
		proto = header.IPv6ProtocolNumber
	default:
		p.release()
		return
	}
	if l.verified.Load() != p.verified {
		l.verified.Store(p.verified)
	}
	data := buffer.MakeWithView(p.head)
	if p.body != nil {
		data.Append(p.body)
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: data})
	l.disp.DeliverNetworkPacket(proto, pkt)
	pkt.DecRef()
}

// take gives pings to the Handler, before gVisor sees them.
func (l *link) take(p packet) bool {
	b := p.head.AsSlice()
	if !maybeICMP(b) {
		return false
	}
	if p.body != nil {
		b = append(append(make([]byte, 0, len(b)+p.body.Size()), b...), p.body.AsSlice()...)
	}
	return l.echo(b)
}

func (p packet) release() {
	p.head.Release()
	if p.body != nil {
		p.body.Release()
	}
}

// shut ends reading and writing and waits for those who do.
func (l *link) shut() {
	l.ended.Store(true)
	l.wire.stop()
	close(l.over)
	l.running.Wait() // who reads may write
	l.mu.Lock()
	l.wire.close()
	l.mu.Unlock()
}

// WritePackets sends packets. What the kernel does not take is lost, as on
// any network.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.ended.Load() {
		return 0, &tcpip.ErrClosedForSend{}
	}
	pkts := list.AsSlice()
	for i, p := range pkts {
		if ownEcho(p) || l.later(p) {
			continue
		}
		if err := l.wire.send(p); err != nil {
			return i, &tcpip.ErrAborted{}
		}
	}
	return len(pkts), nil
}

// later leaves a SYN-ACK to greet. gVisor sends it with the connection locked,
// and the kernel answers it at once: a processor of gVisor would try the lock
// again and again until the write has returned.
func (l *link) later(p *stack.PacketBuffer) bool {
	if p.TransportProtocolNumber != header.TCPProtocolNumber || p.GSOOptions.Type != stack.GSONone {
		return false
	}
	t := header.TCP(p.TransportHeader().Slice())
	if len(t) < header.TCPMinimumSize || t.Flags()&header.TCPFlagSyn == 0 {
		return false
	}
	select {
	case l.syns <- p.Clone():
		return true
	default:
		return false
	}
}

// greet sends SYN-ACKs until the link is shut.
func (l *link) greet() {
	for {
		select {
		case p := <-l.syns:
			l.mu.RLock()
			_ = l.wire.send(p) // a lost one is sent again
			l.mu.RUnlock()
			p.DecRef()
		case <-l.over:
			return
		}
	}
}

func (l *link) writeRaw(b []byte) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.ended.Load() {
		return errClosed
	}
	return l.wire.sendRaw(b)
}

// ownEcho reports whether gVisor answers a ping by itself. The Handler
// answers pings; this is for those that got past it, such as behind a chain
// of extension headers in fragments.
func ownEcho(p *stack.PacketBuffer) bool {
	h := p.NetworkHeader().Slice()
	if len(h) < header.IPv4MinimumSize {
		return false
	}
	t := p.TransportHeader().Slice()
	if h[0]>>4 == 4 {
		return h[9] == uint8(header.ICMPv4ProtocolNumber) && len(t) > 0 && t[0] == uint8(header.ICMPv4EchoReply)
	}
	switch {
	case h[6] == uint8(header.ICMPv6ProtocolNumber):
		return len(t) > 0 && t[0] == uint8(header.ICMPv6EchoReply)
	case h[6] == uint8(header.IPv6FragmentExtHdrIdentifier) && len(h) > header.IPv6MinimumSize:
		return h[header.IPv6MinimumSize] == uint8(header.ICMPv6ProtocolNumber)
	}
	return false
}

// Capabilities promises checked checksums for the packet being delivered:
// gVisor asks once for each, in the goroutine that delivers. Checksums of
// what is sent are gVisor's, except where GSO says otherwise; to promise
// those too would leave a SYN-ACK without.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	if l.verified.Load() {
		return stack.CapabilityRXChecksumOffload
	}
	return 0
}

func (l *link) Attach(d stack.NetworkDispatcher)        { l.disp = d }
func (l *link) IsAttached() bool                        { return l.disp != nil }
func (l *link) MTU() uint32                             { return l.mtu.Load() }
func (l *link) SetMTU(mtu uint32)                       { l.mtu.Store(mtu) }
func (l *link) MaxHeaderLength() uint16                 { return 0 }
func (l *link) LinkAddress() tcpip.LinkAddress          { return "" }
func (l *link) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *link) Wait()                                   {}
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (l *link) AddHeader(*stack.PacketBuffer)           {}
func (l *link) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (l *link) Close()                                  {}
func (l *link) SetOnCloseAction(func())                 {}
func (l *link) GSOMaxSize() uint32                      { return maxPacket }
func (l *link) SupportedGSO() stack.SupportedGSO        { return l.gso }
