package relay

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	var b breaker
	now := time.Now()
	check := func(when string, at time.Time, ok, trial bool) {
		t.Helper()
		if gotOK, gotTrial := b.allow("a", at); gotOK != ok || gotTrial != trial {
			t.Errorf("%s: allow = %v, %v, want %v, %v", when, gotOK, gotTrial, ok, trial)
		}
	}
	check("new", now, true, false)
	b.fail("a", now, now)
	check("just failed", now, false, false)
	if ok, _ := b.allow("b", now); !ok || b.broken("b") || !b.broken("a") {
		t.Error("the failure of one is another's")
	}
	later := now.Add(trialEvery)
	check("a while later", later, true, true)
	check("during the trial", later, false, false)
	b.succeed("a", later)
	check("after success", later, true, false)
	if b.fail("a", now, later) {
		t.Error("what began before others succeeded says that it failed")
	}
	check("slow, not broken", later, true, false)
	if !b.fail("a", later, later.Add(time.Second)) {
		t.Error("what began after the last success and failed says nothing")
	}
	b.succeed("a", later)
	b.fail("a", later.Add(1), later.Add(1))
	b.retain(func(key string) bool { return key != "a" })
	check("forgotten", now, true, false)
}

func TestSameOwner(t *testing.T) {
	a := &Owner{UID: "1", Session: "s", Relays: []string{"x"}}
	for _, c := range []struct {
		other *Owner
		want  bool
	}{
		{&Owner{UID: "1", Session: "s"}, true},
		{&Owner{UID: "2", Session: "s"}, false},
		{&Owner{UID: "1", Session: "t"}, false},
	} {
		if got := a.Same(c.other); got != c.want {
			t.Errorf("Same(%+v) = %v", c.other, got)
		}
	}
}
