package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"google.golang.org/grpc/mem"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// Message types of a flow.
const (
	typeData    = 0
	typeBlocked = 1
	typeEnd     = 2
)

// Errors that end a flow whose peer does not keep to the protocol.
var (
	errMessage = errors.New("malformed flow message")
	errCredit  = errors.New("the peer sent more than its credit")
)

// flow is one end of a flow on a carrier. Exactly one goroutine may send and
// one may receive.
type flow struct {
	messenger
	ctx     context.Context
	id      uint32
	control *control
	credit  *credit
	window  *window
	sized   buffer.Sizer
}

// send moves the bytes of r to the carrier until r ends, and ends the direction.
func (f *flow) send(r io.Reader, count tunnel.Count) error {
	for {
		n, waited, err := f.credit.wait(f.ctx)
		if err != nil {
			return err
		}
		want := f.sized.Next()
		size := min(n, want)
		buf := buffer.Pool().Get(size + 1)
		n, err = r.Read((*buf)[1 : size+1])
		if n > 0 {
			if size == want { // else credit was the limit
				f.sized.Adapt(n)
			}
			if serr := f.sendData(buf, n, waited); serr != nil {
				return serr
			}
			count(0, n)
		} else {
			buffer.Pool().Put(buf)
		}
		if err == io.EOF {
			return f.SendMsg(mem.BufferSlice{mem.SliceBuffer{typeEnd}})
		}
		if err != nil {
			return err
		}
	}
}

// sendData sends the first n payload bytes of buf, and owns buf. It copies a small
// payload to a slice of its size, so that the payload does not pin a large buffer.
func (f *flow) sendData(buf *[]byte, n int, blocked bool) error {
	(*buf)[0] = typeData
	if blocked {
		(*buf)[0] = typeBlocked
	}
	f.credit.spend(n)
	f.control.moved.Add(int64(n))
	var m mem.Buffer
	if n < cap(*buf)/8 {
		m = mem.SliceBuffer(append(make([]byte, 0, n+1), (*buf)[:n+1]...))
		buffer.Pool().Put(buf)
	} else {
		*buf = (*buf)[:n+1]
		m = mem.NewBuffer(buf, buffer.Pool())
	}
	return f.SendMsg(mem.BufferSlice{m})
}

// receive moves bytes from the carrier to w until the peer ends its direction.
func (f *flow) receive(w io.Writer, count tunnel.Count) error {
	var pieces, scratch net.Buffers
	t := time.Now()
	for {
		var m mem.BufferSlice
		if err := f.RecvMsg(&m); err != nil {
			return err
		}
		arrived := time.Now()
		kind, n, body := split(m, pieces[:0])
		pieces = body
		if kind == typeEnd || n < 0 {
			m.Free()
			if n != 0 {
				return errMessage
			}
			return nil
		}
		if !f.window.arrived(n) {
			m.Free()
			return errCredit
		}
		scratch = append(scratch[:0], pieces...)
		err := writePieces(w, scratch)
		m.Free()
		if err != nil {
			return err
		}
		f.control.moved.Add(int64(n))
		count(n, 0)
		delivered := time.Now()
		if g := f.window.consumed(n, arrived.Sub(t), delivered.Sub(arrived), kind == typeBlocked); g > 0 {
			if err := f.control.grant(f.ctx, f.id, g); err != nil {
				return err
			}
		}
		t = delivered
	}
}

// split returns the type of a message, the length of its payload, and the payload's
// pieces appended to pieces. The length is -1 if the message is malformed.
func split(m mem.BufferSlice, pieces net.Buffers) (kind byte, n int, _ net.Buffers) {
	first := true
	for _, b := range m {
		p := b.ReadOnlyData()
		if len(p) == 0 {
			continue
		}
		if first {
			kind, p, first = p[0], p[1:], false
			if len(p) == 0 {
				continue
			}
		}
		n += len(p)
		pieces = append(pieces, p)
	}
	if first || kind > typeEnd || n > buffer.Max {
		return 0, -1, pieces
	}
	return kind, n, pieces
}

// piecesWriter is a Stream that writes several pieces at once.
type piecesWriter interface {
	WritePieces(net.Buffers) error
}

func writePieces(w io.Writer, pieces net.Buffers) error {
	if t, ok := w.(piecesWriter); ok {
		return t.WritePieces(pieces)
	}
	for _, p := range pieces {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// join moves bytes between the flow and s until both directions have ended. It
// returns nil if both ended well. On an error it resets s and calls stop, which must
// end the gRPC stream: join does not wait for the other direction, which may be
// waiting for a message.
func (f *flow) join(s tunnel.Stream, count tunnel.Count, stop func()) error {
	if count == nil {
		count = func(int, int) {}
	}
	received := make(chan error, 1)
	go func() {
		err := f.receive(s, count)
		f.window.release()
		if err == nil {
			err = tunnel.CloseWrite(s)
		}
		received <- err
	}()
	sent := make(chan error, 1)
	go func() { sent <- f.send(s, count) }()
	for range 2 {
		var err error
		select {
		case err = <-received:
		case err = <-sent:
		}
		if err != nil {
			s.Reset()
			stop()
			return err
		}
	}
	return nil
}

// close forgets the flow's number.
func (f *flow) close() { f.control.remove(f.id) }
