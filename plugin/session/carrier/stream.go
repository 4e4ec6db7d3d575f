package carrier

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
)

// tunnelPort is the manager's port in its pods.
const tunnelPort = 443

// streamConn is a forwarded port as a net.Conn. It owns the connection that
// carries it. Deadlines have no effect; Close unblocks everything.
type streamConn struct {
	data httpstream.Stream
	conn httpstream.Connection
	once sync.Once

	mu      sync.Mutex
	failure error // what the kubelet said
}

// openStream opens the pair of streams that port-forward is made of.
func openStream(c httpstream.Connection) (*streamConn, error) {
	h := http.Header{}
	h.Set(corev1.StreamType, corev1.StreamTypeError)
	h.Set(corev1.PortHeader, strconv.Itoa(tunnelPort))
	h.Set(corev1.PortForwardRequestIDHeader, "0")
	errStream, err := c.CreateStream(h)
	if err != nil {
		return nil, fmt.Errorf("port-forward: open stream: %w", err)
	}
	errStream.Close() // we only read from it
	h.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := c.CreateStream(h)
	if err != nil {
		return nil, fmt.Errorf("port-forward: open stream: %w", err)
	}
	s := &streamConn{data: data, conn: c}
	go func() {
		text, err := io.ReadAll(io.LimitReader(errStream, 4<<10))
		if len(text) > 0 {
			s.fail(errors.New(strings.TrimSpace(string(text))))
		} else if err != nil {
			s.Close()
		}
	}()
	go func() {
		<-c.CloseChan()
		s.Close()
	}()
	return s, nil
}

func (s *streamConn) fail(err error) {
	s.mu.Lock()
	s.failure = err
	s.mu.Unlock()
	s.Close()
}

// reason returns what the kubelet said, or else err.
func (s *streamConn) reason(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return s.failure
	}
	return err
}

// Read implements net.Conn.
func (s *streamConn) Read(p []byte) (int, error) { return s.data.Read(p) }

// Write implements net.Conn.
func (s *streamConn) Write(p []byte) (int, error) { return s.data.Write(p) }

// Close drops the stream and its connection.
func (s *streamConn) Close() error {
	var err error
	s.once.Do(func() {
		s.data.Reset() // wakes a blocked Read at once
		err = s.conn.Close()
	})
	return err
}

type forwarded struct{}

// Network implements net.Addr.
func (forwarded) Network() string { return "port-forward" }

// String implements net.Addr.
func (forwarded) String() string { return "port-forward" }

// LocalAddr implements net.Conn.
func (s *streamConn) LocalAddr() net.Addr { return forwarded{} }

// RemoteAddr implements net.Conn.
func (s *streamConn) RemoteAddr() net.Addr { return forwarded{} }

// SetDeadline does nothing, like the other two.
func (s *streamConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (s *streamConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (s *streamConn) SetWriteDeadline(time.Time) error { return nil }
