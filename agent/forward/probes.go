package forward

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/probe"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

const (
	// probeWait is how long a connection that may be a probe may be silent before it is taken
	// for something else. A kubelet that waits for its processor has taken a second. Nobody
	// else is kept waiting: at a port with such probes, callers speak first.
	probeWait = 2 * time.Second
	// requestWait is how long the first request may take on an HTTP/2 connection.
	// A client that is silent for settingsAfter gets our SETTINGS: it may wait for
	// them.
	requestWait   = 2 * time.Second
	settingsAfter = 5 * time.Millisecond
)

// opening is how a connection began.
type opening struct {
	first []byte // all that was read, without what the far end must not get
	probe bool
	acks  *http.AckFilter // for what follows; nil if nothing has to be taken out
}

// classify decides whether a connection is the kubelet's. While those bytes in
// first, which are at the beginning of buf, do not tell, it waits for more.
func classify(c *net.TCPConn, from probe.Caller, buf, first []byte, over bool) opening {
	n := len(first)
	kind := from.Classify(buf[:n], over)
	if kind == probe.Unknown {
		c.SetReadDeadline(time.Now().Add(probeWait))
		defer c.SetReadDeadline(time.Time{})
	}
	for kind == probe.Unknown && n < len(buf) {
		m, err := c.Read(buf[n:])
		n += m
		kind = from.Classify(buf[:n], errors.Is(err, io.EOF))
		if err != nil {
			break // it comes again
		}
	}
	if kind == probe.Greet {
		return greet(c, buf, n)
	}
	return opening{first: buf[:n], probe: kind == probe.Probe}
}

// greet reads what an HTTP/2 client sends up to the head of its first request. A client that
// goes before that counts as a probe, such as one that the kubelet gave up.
func greet(c *net.TCPConn, buf []byte, n int) opening {
	defer c.SetReadDeadline(time.Time{})
	c.SetReadDeadline(time.Now().Add(settingsAfter))
	greeted, gone := false, false
	kind := probe.FirstRequest(buf[:n])
	for kind == probe.Unknown && n < len(buf) {
		m, err := c.Read(buf[n:])
		n += m
		kind = probe.FirstRequest(buf[:n])
		if err == nil || kind != probe.Unknown {
			continue
		}
		if gone = !errors.Is(err, os.ErrDeadlineExceeded); gone || greeted {
			break
		}
		if _, err := c.Write(http.Settings()); err != nil {
			break
		}
		greeted = true
		c.SetReadDeadline(time.Now().Add(requestWait))
	}
	o := opening{first: buf[:n], probe: kind == probe.Probe || kind == probe.Unknown && gone}
	if greeted {
		f := http.NewAckFilter()
		o.first = f.Feed(nil, o.first)
		if !f.Done() {
			o.acks = f
		}
	}
	return o
}

// acked is a caller whose acknowledgment of our SETTINGS is still to come.
type acked struct {
	tunnel.Stream
	filter *http.AckFilter
	ready  []byte
}

// Read implements tunnel.Stream.
func (a *acked) Read(p []byte) (int, error) {
	for len(a.ready) == 0 {
		if a.filter.Done() {
			return a.Stream.Read(p)
		}
		var b [4 << 10]byte
		n, err := a.Stream.Read(b[:])
		a.ready = a.filter.Feed(nil, b[:n])
		if err != nil && len(a.ready) == 0 {
			return 0, err
		}
	}
	n := copy(p, a.ready)
	a.ready = a.ready[n:]
	return n, nil
}
