package mux

import (
	"testing"
)

// The control stream must survive anything a peer sends.
func FuzzControl(f *testing.F) {
	f.Add([]byte{controlGrant, 0, 0, 0, 1, 0, 0, 1, 0})
	f.Add([]byte{controlPong + 1})
	f.Add([]byte{controlPong, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 9 && b[0] == controlPing {
			return // is answered on the stream, which this control has not
		}
		c := newControl()
		flow := newCredit()
		c.add(1, flow)
		if err := c.handle(b); err == nil && flow.left > initialWindow+2*maxWindow {
			t.Fatalf("one grant gave %d bytes", flow.left)
		}
	})
}
