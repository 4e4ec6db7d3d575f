package mux

import (
	"context"
	"testing"
	"time"
)

func TestWindowGrowsOnlyWhenItIsTheLimit(t *testing.T) {
	const fast, slow = time.Microsecond, time.Millisecond
	cases := []struct {
		name      string
		net, sink time.Duration
		blocked   bool
		grows     bool
	}{
		{"the sender waits for credit, the sink is fast", slow, fast, true, true},
		{"the sink is the slow one", fast, slow, true, false},
		{"so little gets through that it needs no more", time.Second, fast, true, false},
		{"the sender has nothing to send", slow, fast, false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWindow(NewBudget(64 << 20))
			granted := 0
			for range 10 {
				granted += w.consumed(initialWindow/2, c.net, c.sink, c.blocked)
			}
			if grown := w.size > initialWindow; grown != c.grows {
				t.Errorf("window is %d", w.size)
			}
			if want := 5*initialWindow + w.size - initialWindow; granted+w.owed != want {
				t.Errorf("granted %d and owe %d, want %d together", granted, w.owed, want)
			}
		})
	}
}

func TestBudgetBoundsWindows(t *testing.T) {
	b := NewBudget(3 * initialWindow)
	var all []*window
	for range 8 {
		w := newWindow(b)
		for range 20 {
			w.consumed(w.size, time.Millisecond, 0, true)
		}
		all = append(all, w)
	}
	sum := 0
	for _, w := range all {
		sum += w.size - initialWindow
	}
	if sum != 3*initialWindow {
		t.Errorf("windows grew by %d within a budget of %d", sum, 3*initialWindow)
	}
	for _, w := range all {
		w.release()
	}
	if b.left != 3*initialWindow {
		t.Errorf("%d of the budget came back", b.left)
	}
}

func TestWindowStopsAtItsMaximum(t *testing.T) {
	w := newWindow(NewBudget(1 << 30))
	for range 100 {
		w.consumed(w.size, time.Millisecond, 0, true)
	}
	if w.size != maxWindow {
		t.Errorf("window is %d, want %d", w.size, maxWindow)
	}
}

func TestCreditWaits(t *testing.T) {
	c := newCredit()
	c.spend(initialWindow)
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan int, 1)
	go func() {
		n, _, _ := c.wait(ctx)
		got <- n
	}()
	c.grant(7)
	if n := <-got; n != 7 {
		t.Errorf("waited for %d bytes, want 7", n)
	}
	c.spend(7)
	cancel()
	if _, _, err := c.wait(ctx); err == nil {
		t.Error("wait ended without credit and without an error")
	}
}
