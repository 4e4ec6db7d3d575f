package fault

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestJudge: what had begun when the fault was there is in flight, and everything else without
// an answer is lost, whether or not it reached the laptop.
func TestJudge(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	refused := errors.New("refused")
	r := &round{struck: at(95), fault: at(100), base: at(100), results: []result{
		{stream: mine, began: at(80), ended: at(90), err: refused},
		{stream: whole, began: at(90), ended: at(110), err: refused},
		{stream: whole, began: at(97), ended: at(110), err: refused},
		{stream: whole, began: at(101), ended: at(120), err: refused, reached: true},
		{stream: whole, began: at(130), ended: at(150), who: application},
		{stream: others, began: at(130), ended: at(140), err: refused},
		{stream: others, began: at(130), ended: at(140), who: "alice"},
		{stream: outbound, began: at(130), ended: at(140), err: refused},
		{stream: outbound, began: at(190), ended: at(200), who: application},
		{stream: whole, began: at(300), ended: at(400), who: "alice"},
	}}
	f := r.judge("alice")
	if f.InFlight != 2 || f.Dying != 1 || f.Lost != 3 || f.LastLost != 30 || f.Astray != 1 || f.Outbound != 1 || len(f.Examples) != 3 {
		t.Errorf("%+v", f)
	}
	for what, got := range map[string]struct {
		is   *float64
		want float64
	}{"gone": {f.Gone, 50}, "again": {f.Again, 300}, "outbound": {f.Reached, 100}} {
		if got.is == nil || *got.is != got.want {
			t.Errorf("%s: %v, want %v", what, got.is, got.want)
		}
	}
}

// TestPrint: bars are judged, and only counts are problems.
func TestPrint(t *testing.T) {
	ms := func(v float64) *float64 { return &v }
	p := &Report{Rows: []*Row{
		{Fault: "agent killed", Mode: "ephemeral", Rounds: []figures{{Requests: 5, Gone: ms(3), Again: ms(100)}, {Requests: 7, Gone: ms(2500), Again: ms(900)}}},
		{Fault: "agent killed", Mode: "sidecar", Rounds: []figures{{Lost: 4, LastLost: knownFor}}, Known: "known: why"},
		{Fault: "agent killed for long", Mode: "sidecar", Rounds: []figures{{Lost: 4, LastLost: knownFor + 1}}, Known: "known: why"},
		{Fault: "agent killed, and another laptop answers", Mode: "sidecar", Rounds: []figures{{Astray: 1}}, Known: "known: why"},
		{Fault: "netd killed", Mode: "sidecar", Rounds: []figures{{Lost: 2}}, Left: map[string]int{"routes": 1}},
	}, Counts: []Count{{Name: "accepted", Value: 1, Promise: true}, {Name: "memory", Value: 7, Unit: "MB", Limit: NoLimit}}}
	var out strings.Builder
	if err := p.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"3 / 2500", "missed: redirect gone\n", "missed: lost\n", "missed: lost, left behind\n", "known: why\n", "left behind: 1 routes\n"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("no %q in\n%s", text, &out)
		}
	}
	if got := p.Problems(); len(got) != 5 {
		t.Errorf("problems %q", got)
	}
}
