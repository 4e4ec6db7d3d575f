package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// http1Client makes one request after the other.
type http1Client struct {
	addr     string
	load     *Load
	deadline time.Time
	request  []byte // the whole of it, the same each time
	conn     net.Conn
	reader   *bufio.Reader
}

func newHTTP1(addr string, load *Load, deadline time.Time) *http1Client {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n", load.method(), load.path(), addr, load.Field, load.Value)
	if load.Fresh {
		b = append(b, "Connection: close\r\n"...)
	}
	if load.Post {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", load.Size)
	}
	b = append(append(b, "\r\n"...), load.body()...)
	size := bufferSize
	if load.want() < size {
		size = 8 << 10 // many clients are idle at a time
	}
	return &http1Client{addr: addr, load: load, deadline: deadline, request: b, reader: bufio.NewReaderSize(nil, size)}
}

func (c *http1Client) run(ctx context.Context, l *limit) (took []time.Duration, err error) {
	for !l.over(len(took)) {
		began := time.Now()
		if err := c.exchange(ctx); err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// exchange makes a request and reads the answer, on a new connection if there is none.
func (c *http1Client) exchange(ctx context.Context) (err error) {
	if c.conn == nil {
		if c.conn, err = dial(ctx, c.addr, c.deadline); err != nil {
			return err
		}
		c.reader.Reset(c.conn)
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	length, ends, err := c.head()
	if err != nil {
		return err
	}
	if _, err := c.reader.Discard(length - 1); err != nil {
		return err
	}
	last, err := c.reader.ReadByte()
	if err != nil {
		return err
	}
	if err := c.load.check(length, last); err != nil {
		return err
	}
	if !ends {
		return nil
	}
	// The server ends first. So no port of the client is kept in TIME_WAIT.
	if _, err := c.reader.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the server does not end the connection: %v", err)
	}
	c.close()
	return nil
}

// head reads the head of an answer, and returns the length of its body, and whether the
// connection ends with it.
func (c *http1Client) head() (length int, ends bool, err error) {
	for n := 0; ; n++ {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case n == 0 && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")):
			return 0, false, fmt.Errorf("the server answers %q", line)
		case len(line) == 0 && length == 0:
			return 0, false, errors.New("an answer without length")
		case len(line) == 0:
			return length, ends, nil
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, false, err
			}
		case bytes.EqualFold(name, []byte("Connection")):
			ends = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	}
}

func (c *http1Client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
