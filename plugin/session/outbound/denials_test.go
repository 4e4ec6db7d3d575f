package outbound

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound/outboundtest"
)

func TestDenials(t *testing.T) {
	noon := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	var none *Denials
	none.Note("10.96.0.1:80", errors.New("no"), noon)
	if none.List() != nil {
		t.Error("nil remembers")
	}
	var d Denials
	for i := range 2 * maxDenials {
		d.Note(fmt.Sprintf("10.96.0.%d:80", i), errors.New("no"), noon)
	}
	d.Note("10.96.0.20:80", errors.New("no"), noon.Add(time.Minute))
	d.Note("10.96.0.20:80", errors.New("no more"), noon.Add(2*time.Minute))
	list := d.List()
	if len(list) != maxDenials {
		t.Fatalf("%d remembered, want %d", len(list), maxDenials)
	}
	for i, want := range []Denial{
		{"10.96.0.20:80", "no more", 1, noon.Add(2 * time.Minute)},
		{"10.96.0.20:80", "no", 2, noon.Add(time.Minute)},
		{"10.96.0.31:80", "no", 1, noon},
	} {
		if list[i] != want {
			t.Errorf("%d: %+v, want %+v", i, list[i], want)
		}
	}
}

// A dial that is denied is remembered with the traffic-manager's words; one
// that is refused is not.
func TestDialerNotesDenials(t *testing.T) {
	d := &Dialer{Session: "s", Group: outboundtest.New(t, outboundtest.Hello).Group(t), Denials: &Denials{}}
	for target, want := range map[string]error{"10.96.0.7:81": frame.ErrRefused, "10.0.0.1:80": frame.ErrDenied} {
		if _, err := d.Open(t.Context(), frame.TCP, target, nil); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", target, err, want)
		}
	}
	list := d.Denials.List()
	if len(list) != 1 || list[0].Target != "10.0.0.1:80" || list[0].Reason != "10.0.0.1 is out of reach" {
		t.Errorf("%+v", list)
	}
}
