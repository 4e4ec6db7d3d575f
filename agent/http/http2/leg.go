package http2

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

var errTooMany = &fault{framing.ErrCodeEnhanceYourCalm, "too many frames that carry nothing"}

// leg is one HTTP/2 connection: the caller's or one to a target. The session's lock guards
// it, but what reads: that is its own goroutine's alone. It has many fields because it is
// both directions of one connection.
type leg struct {
	s      *session
	target http.Target   // nil for the caller's
	conn   tunnel.Stream // nil while it is being opened
	done   chan struct{} // closed with the leg, if the target can go

	// What reads.
	in    *reader
	block block

	// What the peer has said.
	peer     settings
	patience patience
	credit   int // what the peer may still send on the connection

	// What is sent.
	out     outbox
	encoder *hpack.Encoder
	window  int  // what we may still send on the connection
	ready   list // streams that have something to send, in turn
	dialed  bool // it is being opened, or was
	dirty   bool // it is in session.dirty
	writing bool // a goroutine writes
	writer  func()
	closing bool // it is closed once all is written
	closed  bool
	lingers http.Copier // that counts what it costs after the caller's connection; nil before

	streams map[uint32]*end
	lastID  uint32      // of the last stream that its client has opened
	waiting []*exchange // requests beyond the peer's limit
}

func (s *session) newLeg(t http.Target) *leg {
	l := &leg{s: s, target: t, streams: map[uint32]*end{}, credit: firstWindow, window: firstWindow}
	l.writer = l.write
	l.encoder = hpack.NewEncoder(&l.out)
	l.block.decoder = hpack.NewDecoder(tableSize, l.block.add)
	l.block.decoder.SetMaxStringLength(maxFields)
	l.peer = settings{window: firstWindow, streams: unknownRequests}
	return l
}

// read reads and follows frames until the connection ends. The error is never nil.
func (l *leg) read() error {
	for {
		if !l.in.ready() {
			l.s.mu.Lock()
			l.s.kick()
			l.s.mu.Unlock()
		}
		f, err := l.in.frame()
		if err != nil {
			return err
		}
		if err := l.follow(f); err != nil {
			return err
		}
	}
}

// follow does what a frame asks for.
func (l *leg) follow(f frame) error {
	if f.kind == framing.FrameHeaders || l.block.open || f.kind == framing.FrameContinuation {
		return l.onHeaders(f)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if !l.peer.known && f.kind != framing.FrameSettings {
		return &fault{framing.ErrCodeProtocol, fmt.Sprintf("%v before SETTINGS", f.kind)}
	}
	switch f.kind {
	case framing.FrameData:
		return l.onData(f)
	case framing.FrameRSTStream:
		return l.onReset(f)
	case framing.FrameWindowUpdate:
		return l.onWindow(f)
	case framing.FrameSettings:
		return l.onSettings(f)
	case framing.FramePing:
		return l.onPing(f)
	case framing.FrameGoAway:
		return l.onGoAway(f)
	case framing.FramePushPromise:
		return &fault{framing.ErrCodeProtocol, "PUSH_PROMISE, which nobody has allowed"}
	case framing.FramePriority:
		if len(f.payload) != 5 {
			return &fault{framing.ErrCodeFrameSize, "PRIORITY of a wrong length"}
		}
	}
	return l.bear()
}

// patient says whether the peer may send one more frame that carries nothing.
func (l *leg) patient() bool { return l.patience.spend(time.Now()) }

// bear counts a frame that carries nothing.
func (l *leg) bear() error {
	if !l.patient() {
		return errTooMany
	}
	return nil
}

func (l *leg) onPing(f frame) error {
	switch {
	case f.id != 0:
		return &fault{framing.ErrCodeProtocol, "PING of a stream"}
	case len(f.payload) != 8:
		return &fault{framing.ErrCodeFrameSize, "PING of a wrong length"}
	case !f.flags.Has(framing.FlagPingAck):
		copy(l.put(framing.FramePing, framing.FlagPingAck, 0, 8), f.payload)
	}
	return l.bear()
}

// idle says that a stream has not been opened.
func (l *leg) idle(id uint32) bool { return id%2 == 0 || id > l.lastID }

// put appends a frame to what is sent, and returns its payload to be filled in.
func (l *leg) put(kind framing.FrameType, flags framing.Flags, id uint32, size int) []byte {
	b := l.out.extend(headSize + size)
	putHead(b, size, kind, flags, id)
	l.touch()
	return b[headSize:]
}

func (l *leg) putUint32(kind framing.FrameType, id, v uint32) {
	binary.BigEndian.PutUint32(l.put(kind, 0, id, 4), v)
}

// putData sends bytes of a stream, within the windows.
func (l *leg) putData(e *end, p []byte, over bool) {
	var flags framing.Flags
	if over {
		flags, e.sent = framing.FlagDataEndStream, true
	}
	copy(l.put(framing.FrameData, flags, e.id, len(p)), p)
	e.window -= len(p)
	l.window -= len(p)
	l.patience.earn() // gRPC sends a PING for DATA that it gets, to measure the connection
	if l.target != nil {
		e.carried = true
		l.target.Moved(len(p), 0)
	}
}

// putHeaders sends header fields, and the mark if it has a name, as HEADERS and as many
// CONTINUATION as they need.
func (l *leg) putHeaders(e *end, fields []hpack.HeaderField, mark http.Field, over bool) {
	start := len(l.out.b)
	l.out.extend(headSize)
	for _, f := range fields {
		l.encoder.WriteField(f)
	}
	if mark.Name != "" {
		l.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(mark.Name), Value: mark.Value})
	}
	var flags framing.Flags
	if over {
		flags, e.sent = framing.FlagHeadersEndStream, true
	}
	size := len(l.out.b) - start - headSize
	if l.target != nil {
		l.target.Moved(size, 0)
	}
	l.touch()
	if size <= maxFrame {
		putHead(l.out.b[start:], size, framing.FrameHeaders, flags|framing.FlagHeadersEndHeaders, e.id)
		return
	}
	rest := append([]byte(nil), l.out.b[start+headSize:]...)
	l.out.b = l.out.b[:start]
	for kind := framing.FrameHeaders; len(rest) > 0; kind = framing.FrameContinuation {
		piece := rest[:min(len(rest), maxFrame)]
		if rest = rest[len(piece):]; len(rest) == 0 {
			flags |= framing.FlagHeadersEndHeaders
		}
		copy(l.put(kind, flags, e.id, len(piece)), piece)
		flags = 0
	}
}
