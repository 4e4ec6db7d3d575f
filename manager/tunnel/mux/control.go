package mux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"
)

// Messages of the control stream: type u8 and 8 bytes. Types that a reader does not
// know may have any length.
const (
	controlGrant = 0 // flow u32, bytes u32
	controlPing  = 1 // the answer is the same number in a controlPong
	controlPong  = 2
)

// messenger is what gRPC's client and server streams have in common.
type messenger interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// control is the control stream of one carrier, with the flows of the carrier.
type control struct {
	mu      sync.Mutex // guards stream.SendMsg and flows
	stream  messenger
	flows   map[uint32]*credit
	ready   chan struct{} // closed when stream is set
	moved   atomic.Int64  // bytes of all flows, both ways
	pings   map[uint64]chan struct{}
	pingSeq uint64
}

func newControl() *control {
	return &control{flows: map[uint32]*credit{}, ready: make(chan struct{}), pings: map[uint64]chan struct{}{}}
}

// run serves the stream until it breaks.
func (c *control) run(s messenger) error {
	c.mu.Lock()
	if c.stream != nil {
		c.mu.Unlock()
		return errors.New("second control stream on a carrier")
	}
	c.stream = s
	close(c.ready)
	c.mu.Unlock()
	for {
		var m mem.BufferSlice
		if err := s.RecvMsg(&m); err != nil {
			return err
		}
		b := m.Materialize()
		m.Free()
		if err := c.handle(b); err != nil {
			return err
		}
	}
}

// isReady says whether there is a stream.
func (c *control) isReady() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

func (c *control) handle(b []byte) error {
	switch {
	case len(b) > 0 && b[0] > controlPong:
		return nil // of a newer peer
	case len(b) != 9:
		return errors.New("malformed control message")
	}
	switch b[0] {
	case controlGrant:
		n := binary.BigEndian.Uint32(b[5:])
		if n > 2*maxWindow {
			return errors.New("grant exceeds every window")
		}
		c.mu.Lock()
		f := c.flows[binary.BigEndian.Uint32(b[1:])]
		c.mu.Unlock()
		if f != nil { // else the flow has just ended
			f.grant(int(n))
		}
	case controlPing:
		return c.send(context.Background(), [9]byte(append([]byte{controlPong}, b[1:]...)))
	case controlPong:
		id := binary.BigEndian.Uint64(b[1:])
		c.mu.Lock()
		if ch, ok := c.pings[id]; ok {
			close(ch)
			delete(c.pings, id)
		}
		c.mu.Unlock()
	}
	return nil
}

// send waits for the stream for as long as ctx.
func (c *control) send(ctx context.Context, b [9]byte) error {
	select {
	case <-c.ready:
	case <-ctx.Done():
		return fmt.Errorf("await the control stream: %w", ctx.Err())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream.SendMsg(mem.BufferSlice{mem.SliceBuffer(b[:])})
}

func (c *control) grant(ctx context.Context, flow uint32, n int) error {
	b := [9]byte{controlGrant}
	binary.BigEndian.PutUint32(b[1:], flow)
	binary.BigEndian.PutUint32(b[5:], uint32(n))
	return c.send(ctx, b)
}

// ping measures a round trip on the carrier; false when there is no answer
// within the time-out.
func (c *control) ping(timeout time.Duration) (time.Duration, bool) {
	answer := make(chan struct{})
	c.mu.Lock()
	c.pingSeq++
	id := c.pingSeq
	c.pings[id] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pings, id)
		c.mu.Unlock()
	}()
	start := time.Now()
	b := [9]byte{controlPing}
	binary.BigEndian.PutUint64(b[1:], id)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- c.send(ctx, b) }()
	for {
		select {
		case err := <-sent:
			if err != nil {
				return 0, false
			}
			sent = nil
		case <-answer:
			return time.Since(start), true
		case <-ctx.Done():
			return 0, false
		}
	}
}

func (c *control) add(flow uint32, credit *credit) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.flows[flow]; taken {
		return false
	}
	c.flows[flow] = credit
	return true
}

func (c *control) remove(flow uint32) {
	c.mu.Lock()
	delete(c.flows, flow)
	c.mu.Unlock()
}

// Counted is a carrier's connection that wants to know how many flows are on it.
type Counted interface {
	// CountFlows gets what counts them.
	CountFlows(count func() int)
}

// tell tells a connection that is Counted.
func (c *control) tell(conn net.Conn) {
	if counted, ok := conn.(Counted); ok {
		counted.CountFlows(c.count)
	}
}

func (c *control) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.flows)
}
