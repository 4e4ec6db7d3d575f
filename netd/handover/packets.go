package handover

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// MaxPacket is the largest packet of IP, in bytes.
	MaxPacket = 65535
	// headerSize is that of the length in front of a packet.
	headerSize = 2
	// queue is how many bytes may wait to be sent, and how many are read at
	// once.
	queue = 256 << 10
	// farewell is how long Close sends what waits.
	farewell = time.Second
)

// Packets are carried over a connection of their own where a descriptor cannot
// be passed: two bytes of length, big endian, and that much packet, which is
// never empty. What is written while the connection is busy goes out together.
// Nothing is allocated for a packet.
//
// One goroutine reads, any may write.
type Packets struct {
	c    net.Conn
	in   *bufio.Reader
	head [headerSize]byte

	mu         sync.Mutex
	more, room sync.Cond // something waits, or there is room; or it is over
	out, spare []byte
	err        error // of every Write from now on
	sent       chan struct{}
}

// NewPackets takes a connection over.
func NewPackets(c net.Conn) *Packets {
	p := &Packets{c: c, in: bufio.NewReaderSize(c, queue), out: make([]byte, 0, queue), spare: make([]byte, 0, queue), sent: make(chan struct{})}
	p.more.L, p.room.L = &p.mu, &p.mu
	go p.send()
	return p
}

// Read reads one packet. For a shorter b the error is io.ErrShortBuffer, after
// which nothing can be read. io.EOF comes between packets only.
func (p *Packets) Read(b []byte) (int, error) {
	if _, err := io.ReadFull(p.in, p.head[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(p.head[:]))
	switch {
	case n == 0:
		return 0, errors.New("read packet: it is empty")
	case n > len(b):
		return 0, io.ErrShortBuffer
	}
	_, err := io.ReadFull(p.in, b[:n])
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Write sends one packet, later. While too much waits, it waits, too.
func (p *Packets) Write(b []byte) (int, error) {
	if len(b) == 0 || len(b) > MaxPacket {
		return 0, fmt.Errorf("write packet: %d bytes are not between 1 and %d", len(b), MaxPacket)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.err == nil && len(p.out)+headerSize+len(b) > queue {
		p.room.Wait()
	}
	if p.err != nil {
		return 0, p.err
	}
	p.out = append(binary.BigEndian.AppendUint16(p.out, uint16(len(b))), b...)
	p.more.Signal()
	return len(b), nil
}

// send sends what waits until the end.
func (p *Packets) send() {
	defer close(p.sent)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for p.err == nil && len(p.out) == 0 {
			p.more.Wait()
		}
		if len(p.out) == 0 {
			return
		}
		out := p.out
		p.out = p.spare[:0]
		p.room.Broadcast()
		p.mu.Unlock()
		_, err := p.c.Write(out)
		p.mu.Lock()
		p.spare = out
		if err != nil {
			p.end(err)
			return
		}
	}
}

func (p *Packets) end(err error) {
	if p.err == nil {
		p.err = err
	}
	p.more.Broadcast()
	p.room.Broadcast()
}

// Close ends every Read and Write, after what was written before is sent or
// cannot be. Again, it does nothing.
func (p *Packets) Close() error {
	p.mu.Lock()
	p.end(net.ErrClosed)
	p.mu.Unlock()
	p.c.SetWriteDeadline(time.Now().Add(farewell))
	<-p.sent
	p.c.Close()
	return nil
}

// Carry carries packets between a and b, each of which reads and writes one at
// a time, until one of them ends, and closes both. The error says why it ended.
func Carry(a, b io.ReadWriteCloser) error {
	ends := make(chan error, 2)
	carry := func(to io.Writer, from io.Reader) {
		packet := make([]byte, MaxPacket)
		for {
			n, err := from.Read(packet)
			if err == nil && n > 0 {
				_, err = to.Write(packet[:n])
			}
			if err != nil {
				ends <- err
				return
			}
		}
	}
	go carry(a, b)
	go carry(b, a)
	err := <-ends
	a.Close()
	b.Close()
	<-ends
	return err
}
