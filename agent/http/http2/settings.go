package http2

import (
	"encoding/binary"
	"errors"

	framing "golang.org/x/net/http2"
)

const (
	// maxRequests is how many requests a caller may have at once. An application that
	// takes fewer lowers it.
	maxRequests = 1000
	// maxFields bounds the header fields of a request or an answer, counted as RFC 9113
	// (6.5.2) does.
	maxFields = 1 << 20
	// connectionWindow is what a peer may send on all its streams together, before we
	// have read it. What we keep is bounded by the windows of the streams.
	connectionWindow = 4 << 20
	// tableSize is the size of the tables of HPACK (RFC 7541, 4.2).
	tableSize = 4096
	// unknownRequests is how many requests a target gets before it has said its limit.
	unknownRequests = 100
)

// settings are those of a peer.
type settings struct {
	known   bool // its first SETTINGS have come
	window  int  // SETTINGS_INITIAL_WINDOW_SIZE
	streams int  // SETTINGS_MAX_CONCURRENT_STREAMS
	connect bool // SETTINGS_ENABLE_CONNECT_PROTOCOL
}

// greet sends our SETTINGS, and opens the connection's window.
func (l *leg) greet() {
	if l.target == nil {
		l.putSettings(framing.Setting{ID: framing.SettingMaxConcurrentStreams, Val: maxRequests},
			framing.Setting{ID: framing.SettingMaxHeaderListSize, Val: maxFields})
	} else {
		l.out.Write([]byte(framing.ClientPreface))
		l.putSettings(framing.Setting{ID: framing.SettingEnablePush, Val: 0},
			framing.Setting{ID: framing.SettingMaxHeaderListSize, Val: maxFields})
	}
	l.putUint32(framing.FrameWindowUpdate, 0, connectionWindow-firstWindow)
	l.credit = connectionWindow
}

// putSettings sends SETTINGS.
func (l *leg) putSettings(list ...framing.Setting) {
	b := l.put(framing.FrameSettings, 0, 0, 6*len(list))
	for i, s := range list {
		binary.BigEndian.PutUint16(b[6*i:], uint16(s.ID))
		binary.BigEndian.PutUint32(b[6*i+2:], s.Val)
	}
}

// onSettings follows the SETTINGS of the peer and acknowledges them.
func (l *leg) onSettings(f frame) error {
	switch {
	case f.id != 0:
		return &fault{framing.ErrCodeProtocol, "SETTINGS of a stream"}
	case f.flags.Has(framing.FlagSettingsAck):
		if len(f.payload) > 0 {
			return &fault{framing.ErrCodeFrameSize, "an acknowledgment of SETTINGS that says something"}
		}
		return l.bear()
	case len(f.payload)%6 != 0:
		return &fault{framing.ErrCodeFrameSize, "SETTINGS of a wrong length"}
	}
	first := !l.peer.known
	if !first && !l.patient() {
		return errTooMany
	}
	if first && l.target != nil {
		l.peer.streams = maxWindow
	}
	l.peer.known = true
	for b := f.payload; len(b) > 0; b = b[6:] {
		s := framing.Setting{ID: framing.SettingID(binary.BigEndian.Uint16(b)), Val: binary.BigEndian.Uint32(b[2:])}
		if err := l.set(s); err != nil {
			return err
		}
	}
	l.put(framing.FrameSettings, framing.FlagSettingsAck, 0, 0)
	if l.target != nil {
		l.startWaiting()
		l.s.tellSettings(l)
	}
	return nil
}

// set follows one setting of the peer.
func (l *leg) set(s framing.Setting) error {
	var invalid framing.ConnectionError
	if err := s.Valid(); errors.As(err, &invalid) {
		return &fault{framing.ErrCode(invalid), "the value of " + s.String()}
	}
	switch s.ID {
	case framing.SettingHeaderTableSize:
		l.encoder.SetMaxDynamicTableSize(min(s.Val, tableSize))
	case framing.SettingEnablePush:
		if l.target != nil && s.Val != 0 {
			return &fault{framing.ErrCodeProtocol, "a server that allows push"}
		}
	case framing.SettingMaxConcurrentStreams:
		if l.target != nil {
			l.peer.streams = int(min(s.Val, maxWindow))
		}
	case framing.SettingInitialWindowSize:
		return l.resize(int(s.Val))
	case framing.SettingEnableConnectProtocol:
		l.peer.connect = s.Val == 1
	}
	return nil
}

// resize follows a new initial window, which is for the streams that there are, too
// (RFC 9113, 6.9.2).
func (l *leg) resize(window int) error {
	more := window - l.peer.window
	l.peer.window = window
	for _, e := range l.streams {
		if e.window += more; e.window > maxWindow {
			return &fault{framing.ErrCodeFlowControl, "a window that is too large"}
		}
		e.schedule()
		e.other().grant()
	}
	return nil
}

// tellSettings passes on to the caller what the application has said: how many requests
// it takes at once, and whether it knows the extended CONNECT (RFC 8441).
func (s *session) tellSettings(l *leg) {
	if l.target != s.sw.Application() {
		return
	}
	if n := min(l.peer.streams, maxRequests); n != s.told.streams {
		s.told.streams = n
		s.caller.putSettings(framing.Setting{ID: framing.SettingMaxConcurrentStreams, Val: uint32(n)})
	}
	if l.peer.connect && !s.told.connect { // RFC 8441 does not let us take it back
		s.told.connect = true
		s.caller.putSettings(framing.Setting{ID: framing.SettingEnableConnectProtocol, Val: 1})
	}
}
