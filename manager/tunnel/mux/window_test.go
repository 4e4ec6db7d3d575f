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

// Of two sessions of a user, one can take all of the user's bytes, and none of another's.
func TestBudgetWithinBudget(t *testing.T) {
	all := NewBudget(100)
	user, other := all.Part(60), all.Part(60)
	first, second := user.Part(50), user.Part(50)
	for _, step := range []struct {
		what string
		of   *Budget
		n    int
		want bool
	}{
		{"within everything", first, 50, true},
		{"more than the session has", first, 1, false},
		{"more than the user has", second, 11, false},
		{"the rest of the user's", second, 10, true},
		{"of another user", other, 40, true},
		{"more than there is", other, 1, false},
	} {
		if got := step.of.take(step.n); got != step.want {
			t.Errorf("%s: %v", step.what, got)
		}
	}
	first.give(50)
	second.give(10)
	other.give(40)
	if all.left != 100 || user.left != 60 || other.left != 60 || first.left != 50 || second.left != 50 {
		t.Errorf("left are %d, %d, %d, %d, %d", all.left, user.left, other.left, first.left, second.left)
	}
}
