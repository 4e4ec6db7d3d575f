package carrier

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a transport that does what it is told.
type fake struct {
	name  string
	err   error
	tried *[]string
}

func (f *fake) Name() string { return f.name }

func (f *fake) Dial(context.Context) (net.Conn, error) {
	*f.tried = append(*f.tried, f.name)
	if f.err != nil {
		return nil, f.err
	}
	c, _ := net.Pipe()
	return c, nil
}

func TestDialer(t *testing.T) {
	no := func(name string) error { return &NotPossibleError{name, errors.New("403")} }
	broken := errors.New("connection refused")
	between := &BetweenError{"a", errors.New("answer 502")}
	for _, c := range []struct {
		name          string
		first, second error
		tried         []string
		want          string // transport, or the error
		next          []string
	}{
		{name: "the first works", tried: []string{"a"}, want: "a", next: []string{"a"}},
		{name: "the first is not possible", first: no("a"), tried: []string{"a", "b"}, want: "b", next: []string{"b"}},
		{name: "the first is out of order", first: broken, tried: []string{"a"}, want: "connection refused", next: []string{"a"}},
		{name: "neither is possible", first: no("a"), second: no("b"), tried: []string{"a", "b"}, want: "a: 403\nb: 403", next: []string{"a", "b"}},
		{name: "something is between", first: between, tried: []string{"a", "b", "a"}, want: "b", next: []string{"b"}},
		{name: "something is between, the second is not possible", first: between, second: no("b"), tried: []string{"a", "b"}, want: "a: answer 502\nb: 403", next: []string{"a", "b"}},
		{name: "something is between, the second is out of order", first: between, second: broken, tried: []string{"a", "b"}, want: "a: answer 502\nconnection refused", next: []string{"a", "b"}},
		{name: "the second is out of order", first: no("a"), second: broken, tried: []string{"a", "b"}, want: "connection refused", next: []string{"a", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tried []string
			l := NewDialer(&fake{"a", c.first, &tried}, &fake{"b", c.second, &tried})
			dial := func() string {
				tried = nil
				_, name, err := l.Dial(context.Background())
				if err != nil {
					return err.Error()
				}
				return name
			}
			if got := dial(); got != c.want || !slices.Equal(tried, c.tried) {
				t.Fatalf("%q after trying %v, want %q after %v", got, tried, c.want, c.tried)
			}
			if dial(); !slices.Equal(tried, c.next) {
				t.Fatalf("the next dial tries %v, want %v", tried, c.next)
			}
		})
	}
}

func TestDialerForgets(t *testing.T) {
	var tried []string
	l := NewDialer(&fake{"a", nil, &tried}, &fake{"b", nil, &tried})
	now := time.Now()
	l.now = func() time.Time { return now }
	l.Prefer("b", now.Add(ForgetAfter))
	if _, name, _ := l.Dial(context.Background()); name != "b" {
		t.Fatalf("preferred b, got %s", name)
	}
	now = now.Add(ForgetAfter + time.Second)
	if _, name, _ := l.Dial(context.Background()); name != "a" {
		t.Fatalf("after a while the better one comes first again, got %s", name)
	}
	l.Prefer("unknown", now.Add(ForgetAfter))
	if _, name, _ := l.Dial(context.Background()); name != "a" {
		t.Fatalf("an unknown name changes nothing, got %s", name)
	}
}

func TestNoneIsPossible(t *testing.T) {
	no, broken := &NotPossibleError{"a", errors.New("403")}, errors.New("refused")
	for _, c := range []struct {
		err  error
		want bool
	}{{no, true}, {broken, false}, {errors.Join(&BetweenError{"a", broken}, no), false}, {errors.Join(no, no), true}, {errors.Join(no, broken), false}} {
		if got := NoneIsPossible(c.err); got != c.want {
			t.Errorf("NoneIsPossible(%q) = %v", c.err, got)
		}
	}
}

func TestNotPossible(t *testing.T) {
	for _, c := range []struct {
		code    int
		message string
		want    bool
	}{
		{403, "forbidden", true},
		{404, `services "traffic-manager" not found`, true},
		{405, "", true},
		{400, "upgrade request required", true},
		{426, "", true},
		{200, "a proxy ate the Upgrade", true},
		{501, "", true},
		{401, "Unauthorized", false},
		{429, "", false},
		{500, "", false},
		{502, "", false},
		{503, `no endpoints available for service "http:traffic-manager:tunnel"`, false},
		{503, "error trying to reach service: dial tcp 10.0.0.7:443: connect: connection refused", false},
		{503, "error trying to reach service: dial tcp 10.0.0.7:443: i/o timeout", true},
	} {
		if got := notPossible(c.code, c.message); got != c.want {
			t.Errorf("%d %q: not possible = %v", c.code, c.message, got)
		}
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	now := time.Now()
	var last time.Duration
	for i := range 5 {
		p := b.next(now)
		if want := minPause << i; p < want*8/10 || p > want*12/10 {
			t.Fatalf("pause %d is %s, want about %s", i, p, want)
		}
		last = p
	}
	if last > earlyPause*12/10 {
		t.Fatalf("pause %s early in an outage", last)
	}
	now = now.Add(earlyFor + time.Second)
	for range 5 {
		last = b.next(now)
	}
	if last < maxPause*8/10 || last > maxPause*12/10 {
		t.Fatalf("pause %s late in an outage", last)
	}
	b.reset()
	if p := b.next(now); p > minPause*12/10 {
		t.Fatalf("pause %s after a reset", p)
	}
}

// sleepy is a transport that gives no answer while the network is away.
type sleepy struct {
	fake
	away *bool
}

func (s *sleepy) Dial(ctx context.Context) (net.Conn, error) {
	if *s.away {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.fake.Dial(ctx)
}

// waking is one whose dial lasts until the network is back.
type waking struct{ sleepy }

func (w *waking) Dial(ctx context.Context) (net.Conn, error) {
	*w.away = false
	return w.fake.Dial(ctx)
}

// The network comes back while the second transport is tried: the first, which
// was the one that worked, is taken. One that never worked is not waited for.
func TestDialerAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried []string
		away := false
		first := &sleepy{fake{"a", nil, &tried}, &away}
		l := NewDialer(first, &waking{sleepy{fake{"b", nil, &tried}, &away}})
		if _, name, err := l.Dial(t.Context()); name != "a" || err != nil {
			t.Fatalf("at first: %s, %v", name, err)
		}
		away = true
		for range 2 {
			if _, name, err := l.Dial(t.Context()); name != "a" || err != nil {
				t.Fatalf("after the outage: %s, %v", name, err)
			}
		}
		away = true
		l = NewDialer(first, &waking{sleepy{fake{"b", nil, &tried}, &away}})
		tried = nil
		if _, name, err := l.Dial(t.Context()); name != "b" || err != nil || !slices.Equal(tried, []string{"b"}) {
			t.Fatalf("one that never worked: %s, %v after %v", name, err, tried)
		}
	})
}
