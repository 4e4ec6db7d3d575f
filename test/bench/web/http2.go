package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Windows that the client gives. No answer is larger than that of a stream.
const (
	streamWindow = 4 << 20
	connWindow   = 1 << 30
)

// http2Client makes requests on the streams of one connection.
type http2Client struct {
	conn    net.Conn
	load    *Load
	reader  *bufio.Reader
	writer  *bufio.Writer
	framer  *http2.Framer
	block   []byte // the request's fields. It uses no table, so it is the same each time
	body    []byte
	streams map[uint32]*stream
	next    uint32 // number of a stream
	window  int    // how much of bodies the server takes now
	waiting int    // requests that the window is too small for
	unacked int    // received, and not given back to the server's window
	took    []time.Duration
}

type stream struct {
	began  time.Time
	length int
	last   byte
}

func dialHTTP2(ctx context.Context, addr string, load *Load, deadline time.Time) (*http2Client, error) {
	conn, err := dial(ctx, addr, deadline)
	if err != nil {
		return nil, err
	}
	c := &http2Client{conn: conn, load: load, reader: bufio.NewReaderSize(conn, 64<<10), writer: bufio.NewWriterSize(conn, 64<<10),
		body: load.body(), streams: map[uint32]*stream{}, next: 1, window: 65535}
	c.framer = http2.NewFramer(c.writer, c.reader)
	c.framer.SetReuseFrames()
	c.block = fields(addr, load)
	_, _ = c.writer.WriteString(http2.ClientPreface) // errors are Flush's
	_ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow})
	_ = c.framer.WriteWindowUpdate(0, connWindow)
	return c, nil
}

// fields encodes the fields of a request.
func fields(addr string, load *Load) []byte {
	list := []hpack.HeaderField{
		{Name: ":method", Value: load.method()}, {Name: ":scheme", Value: "http"},
		{Name: ":path", Value: load.path()}, {Name: ":authority", Value: addr},
		{Name: load.Field, Value: load.Value},
	}
	if load.Protocol == GRPC {
		list = append(list, hpack.HeaderField{Name: "content-type", Value: "application/grpc"}, hpack.HeaderField{Name: "te", Value: "trailers"})
	}
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range list {
		f.Sensitive = true  // so that it is not entered into the table
		_ = e.WriteField(f) // a bytes.Buffer has no errors
	}
	return b.Bytes()
}

// run keeps all streams busy until the limit, and waits for the last answers.
func (c *http2Client) run(l *limit) ([]time.Duration, error) {
	c.waiting = c.load.Streams
	c.begin(l)
	for len(c.streams)+c.waiting > 0 {
		if c.reader.Buffered() == 0 {
			if err := c.writer.Flush(); err != nil {
				return c.took, err
			}
		}
		f, err := c.framer.ReadFrame()
		if err != nil {
			return c.took, err
		}
		if err := c.frame(f); err != nil {
			return c.took, err
		}
		c.begin(l)
	}
	return c.took, nil
}

// begin makes the requests that wait, as far as the window allows.
func (c *http2Client) begin(l *limit) {
	for c.waiting > 0 && l.over(len(c.took)+len(c.streams)) {
		c.waiting--
	}
	for ; c.waiting > 0 && len(c.body) <= c.window; c.waiting-- {
		if l.over(len(c.took) + len(c.streams)) {
			continue
		}
		// Errors are Flush's.
		_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: c.block, EndHeaders: true, EndStream: len(c.body) == 0})
		if len(c.body) > 0 {
			_ = c.framer.WriteData(c.next, true, c.body)
			c.window -= len(c.body)
		}
		c.streams[c.next] = &stream{began: time.Now()}
		c.next += 2
	}
}

// frame does what a frame asks for.
func (c *http2Client) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.DataFrame:
		c.give(int(f.Length))
		s := c.streams[f.StreamID]
		if data := f.Data(); s != nil && len(data) > 0 {
			s.length += len(data)
			s.last = data[len(data)-1]
		}
		return c.ended(f.StreamID, f.StreamEnded())
	case *http2.HeadersFrame:
		return c.ended(f.StreamID, f.StreamEnded())
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int(f.Increment)
		}
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		if c.streams[f.StreamID] != nil {
			return fmt.Errorf("the server resets a stream: %v", f.ErrCode)
		}
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server ends the connection: %v %s", f.ErrCode, f.DebugData())
	}
	return nil
}

// give lets the server send as much again as has arrived.
func (c *http2Client) give(n int) {
	c.unacked += n
	if c.unacked >= streamWindow {
		_ = c.framer.WriteWindowUpdate(0, uint32(c.unacked)) // errors are Flush's
		c.unacked = 0
	}
}

// ended notes an answer if it is complete.
func (c *http2Client) ended(id uint32, complete bool) error {
	s := c.streams[id]
	if s == nil || !complete {
		return nil
	}
	c.took = append(c.took, time.Since(s.began))
	delete(c.streams, id)
	c.waiting++
	return c.load.check(s.length, s.last)
}
