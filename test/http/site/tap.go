package main

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
)

// Tap is a listener that keeps what each of its connections received.
type Tap struct {
	net.Listener

	mu       sync.Mutex
	ended    sync.Cond
	open     int
	received [][]byte // of connections that ended
}

// NewTap returns a Tap on a listener.
func NewTap(l net.Listener) *Tap {
	t := &Tap{Listener: l}
	t.ended.L = &t.mu
	return t
}

// Accept returns a connection that the Tap reads along with.
func (t *Tap) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open++
	return &tapped{TCPConn: c.(*net.TCPConn), tap: t}, nil
}

// ServeHTTP waits until no connection is open. It answers with what each received since
// the last time, as a list of base64 in JSON.
func (t *Tap) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	for t.open > 0 {
		t.ended.Wait()
	}
	all := t.received
	t.received = nil
	t.mu.Unlock()
	_ = json.NewEncoder(w).Encode(all) // the caller sees that the answer is cut
}

// tapped is a connection of a Tap. Only its methods Read, Close and CloseWrite differ
// from those of a connection of TCP.
type tapped struct {
	*net.TCPConn
	tap      *Tap
	mu       sync.Mutex
	received []byte
	once     sync.Once
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = append(c.received, p[:n]...)
	return n, err
}

func (c *tapped) Close() error {
	err := c.TCPConn.Close()
	c.end()
	return err
}

// CloseWrite is what net/http does before Close once it wants no more of the caller.
func (c *tapped) CloseWrite() error {
	err := c.TCPConn.CloseWrite()
	c.end()
	return err
}

// end has the Tap keep what was received.
func (c *tapped) end() {
	c.once.Do(func() {
		c.mu.Lock()
		received := c.received
		c.mu.Unlock()
		c.tap.mu.Lock()
		defer c.tap.mu.Unlock()
		c.tap.open--
		c.tap.received = append(c.tap.received, received)
		c.tap.ended.Broadcast()
	})
}
