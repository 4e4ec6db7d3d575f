package http2

import (
	"fmt"
	"strings"
	"testing"

	framing "golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// RST_STREAM passes with its code, both ways.
func TestResetCodes(t *testing.T) {
	far, accept := scripted(t)
	l := newLab(t, far)
	c := l.caller()
	var target *peer
	for k, code := range []framing.ErrCode{framing.ErrCodeNo, framing.ErrCodeCancel, framing.ErrCodeRefusedStream, framing.ErrCodeEnhanceYourCalm, 0xfeed} {
		id := uint32(4*k + 1)
		c.get(id, false)
		if target == nil {
			target = accept()
		}
		target.expect(posted(id))
		c.WriteRSTStream(id, code)
		target.expect(fmt.Sprintf("RST %d %v", id, code))
		c.get(id+2, false)
		target.expect(posted(id + 2))
		target.WriteRSTStream(id+2, code)
		c.expect(fmt.Sprintf("RST %d %v", id+2, code))
	}
}

// A server may answer before the request has ended, and then not want the rest.
func TestEarlyAnswer(t *testing.T) {
	far, accept := scripted(t)
	c := newLab(t, far).caller(framing.Setting{ID: framing.SettingInitialWindowSize, Val: 4})
	c.get(1, false)
	target := accept()
	target.expect(posted(1))
	target.headers(1, false, ":status", "100")
	target.headers(1, false, ":status", "103", "link", "x")
	target.headers(1, false, ":status", "200")
	target.WriteData(1, true, []byte("answer"))
	target.WriteRSTStream(1, framing.ErrCodeNo)
	c.expect("HEADERS 1 :status=100")
	c.expect("HEADERS 1 :status=103 link=x")
	c.expect("HEADERS 1 :status=200")
	c.expect("DATA 1 answ")
	c.WriteWindowUpdate(1, 10)
	c.expect("DATA 1 er END")
	c.expect("RST 1 NO_ERROR")
}

// Requests that a target says it will not work on go to a new connection, in their order.
// Those of which a body was sent are refused.
func TestGoAwayOfTarget(t *testing.T) {
	app, _ := scripted(t)
	far, accept := scripted(t)
	far.gone = make(chan struct{})
	l := newLab(t, app)
	l.set("far", http.Decision{To: far})
	c := l.caller()
	c.get(1, false, "to", "far")
	target := accept()
	target.expect(posted(1) + " to=far")
	c.get(3, true, "to", "far")
	target.expect(posted(3) + " to=far END")
	c.get(5, false, "to", "far")
	target.expect(posted(5) + " to=far")
	c.WriteData(5, false, []byte("body"))
	target.expect("DATA 5 body")
	c.get(7, false, "to", "far")
	target.expect(posted(7) + " to=far")
	target.WriteGoAway(1, framing.ErrCodeNo, nil)
	c.expect("RST 5 REFUSED_STREAM")
	second := accept()
	second.expect(posted(1) + " to=far END")
	second.expect(posted(3) + " to=far")
	c.WriteData(7, true, []byte("late"))
	second.expect("DATA 3 late END")
	target.headers(1, true, ":status", "201")
	c.expect("HEADERS 1 :status=201 END")
	second.headers(1, true, ":status", "202")
	c.expect("HEADERS 3 :status=202 END")
	second.headers(3, true, ":status", "203")
	c.expect("HEADERS 7 :status=203 END")
	c.WriteData(1, true, nil)
	target.expect("DATA 1  END")
	target.expect("end") // nothing is left on it
}

// The caller of an application that goes away is told to connect anew, and is served
// until it does.
func TestGoAwayOfApplication(t *testing.T) {
	far, accept := scripted(t)
	c := newLab(t, far).caller()
	c.get(1, true)
	target := accept()
	target.expect(posted(1) + " END")
	target.WriteGoAway(1, framing.ErrCodeNo, nil)
	c.expect("GOAWAY 2147483647 NO_ERROR")
	target.headers(1, true, ":status", "200")
	c.expect("HEADERS 1 :status=200 END")
	c.get(3, true)
	accept().expect(posted(1) + " END")
}

// A target gets as many requests at once as it takes. The others wait.
func TestConcurrencyOfTarget(t *testing.T) {
	far, accept := scripted(t, framing.Setting{ID: framing.SettingMaxConcurrentStreams, Val: 1})
	c := newLab(t, far).caller()
	c.get(1, true)
	target := accept()
	target.expect(posted(1) + " END")
	target.settled()
	c.get(3, true, "n", "3")
	c.get(5, true, "n", "5")
	c.get(7, true, "n", "7")
	c.WriteRSTStream(5, framing.ErrCodeCancel)
	c.settled()
	target.headers(1, true, ":status", "200")
	target.expect(posted(3) + " n=3 END")
	target.headers(3, true, ":status", "200")
	target.expect(posted(5) + " n=7 END")
}

// A change of the initial window is for the streams that there are, too, and may make a
// window negative.
func TestInitialWindowChanges(t *testing.T) {
	far, accept := scripted(t)
	c := newLab(t, far).caller(framing.Setting{ID: framing.SettingInitialWindowSize, Val: 8})
	c.get(1, true)
	target := accept()
	target.expect(posted(1) + " END")
	target.headers(1, false, ":status", "200")
	target.WriteData(1, false, []byte("12345678abcdefgh"))
	c.expect("HEADERS 1 :status=200")
	c.expect("DATA 1 12345678")
	c.WriteSettings(framing.Setting{ID: framing.SettingInitialWindowSize, Val: 4})
	c.WriteWindowUpdate(1, 3) // -1
	c.WriteSettings(framing.Setting{ID: framing.SettingInitialWindowSize, Val: 6})
	c.expect("DATA 1 a")
	c.WriteWindowUpdate(1, 7)
	c.expect("DATA 1 bcdefgh")
	target.headers(1, true, "grpc-status", "0")
	c.expect("HEADERS 1 grpc-status=0 END") // needs no window
}

// PING is answered. What the application says of itself is passed on to the caller, and
// tables of HPACK have the size that each peer wants.
func TestSettings(t *testing.T) {
	far, accept := scripted(t, framing.Setting{ID: framing.SettingMaxConcurrentStreams, Val: 7},
		framing.Setting{ID: framing.SettingEnableConnectProtocol, Val: 1}, framing.Setting{ID: framing.SettingHeaderTableSize, Val: 0})
	c := newLab(t, far).caller(framing.Setting{ID: framing.SettingHeaderTableSize, Val: 100})
	c.get(1, true)
	target := accept()
	target.ReadMetaHeaders.SetMaxDynamicTableSize(4096) // its SETTINGS came after the request
	target.expect(posted(1) + " END")
	target.headers(1, true, ":status", "200", "large", strings.Repeat("x", 200), "small", "y")
	said := map[framing.SettingID]uint32{}
	acks, pong := 0, false
	c.WritePing(false, [8]byte{1, 2, 3})
	for acks == 0 || !pong || said[framing.SettingEnableConnectProtocol] == 0 {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *framing.PingFrame:
			pong = f.IsAck() && f.Data == [8]byte{1, 2, 3}
		case *framing.SettingsFrame:
			if f.IsAck() {
				acks++
			}
			f.ForeachSetting(func(s framing.Setting) error { said[s.ID] = s.Val; return nil })
		}
	}
	if said[framing.SettingMaxConcurrentStreams] != 7 {
		t.Error(said)
	}
	for id := uint32(3); id < 9; id += 2 {
		c.get(id, true, "a", "b")
		target.expect(posted(id) + " a=b END")
		target.headers(id, true, ":status", "200", "a", "b")
		for { // the answer of the first request came before, maybe
			got := c.next()
			if got == fmt.Sprintf("HEADERS %d :status=200 a=b END", id) {
				break
			}
			if got == "end" {
				t.Fatal(got)
			}
		}
	}
}

// Padding is dropped, and large header blocks pass in pieces.
func TestPaddingAndContinuation(t *testing.T) {
	far, accept := scripted(t)
	c := newLab(t, far).caller()
	large := strings.Repeat("x", 40<<10)
	c.block.Reset()
	c.get(1, false) // what follows is its trailers, by hand
	target := accept()
	target.expect(posted(1))
	c.WriteDataPadded(1, false, []byte("body"), make([]byte, 200))
	target.expect("DATA 1 body")
	c.block.Reset()
	c.encoder.WriteField(field("large", large))
	block := c.block.Bytes()
	c.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, BlockFragment: block[:1], EndStream: true, PadLength: 3,
		Priority: framing.PriorityParam{Weight: 3}})
	c.WriteContinuation(1, false, block[1:16000])
	c.WriteContinuation(1, false, block[16000:32000])
	c.WriteContinuation(1, true, block[32000:])
	target.expect("HEADERS 1 large=" + large + " END")
}

// A request that waits for a connection which is lost is decided about once more. It counts
// once, and is copied once.
func TestDecidedAgain(t *testing.T) {
	app, accept := scripted(t, framing.Setting{ID: framing.SettingMaxConcurrentStreams, Val: 1})
	full := &farEnd{}
	full.full.Store(true)
	l := newLab(t, app)
	l.set("copied", http.Decision{To: app, Copies: []http.Copier{full}})
	c := l.caller()
	c.get(1, true)
	target := accept()
	target.expect(posted(1) + " END")
	target.settled() // it takes one request at a time
	c.get(3, true, "to", "copied")
	c.settled()
	target.conn.Close()
	target = accept()
	target.expect(posted(1) + " to=copied END")
	if l.counted.Load() != 2 || app.arrived.Load() != 2 || full.arrived.Load() != 1 {
		t.Errorf("%d counted, %d arrived, %d copied", l.counted.Load(), app.arrived.Load(), full.arrived.Load())
	}
}
