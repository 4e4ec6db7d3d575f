package meter

import (
	"context"
	"net"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	seq := func(n int) []time.Duration {
		d := make([]time.Duration, n)
		for i := range d {
			d[i] = time.Duration(i + 1)
		}
		return d
	}
	for _, tt := range []struct {
		n, p int
		want time.Duration
	}{
		{0, 50, 0}, {1, 50, 1}, {1, 99, 1}, {2, 50, 1}, {3, 50, 2}, {4, 50, 2},
		{100, 50, 50}, {100, 99, 99}, {101, 99, 100}, {1000, 99, 990}, {10, 100, 10},
	} {
		if got := Percentile(seq(tt.n), tt.p); got != tt.want {
			t.Errorf("Percentile(1…%d, %d) = %d, want %d", tt.n, tt.p, got, tt.want)
		}
	}
}

func TestSummarize(t *testing.T) {
	got := Summarize([]time.Duration{3, 1, 2}, 2*time.Second)
	if got.P50 != 2 || got.P99 != 3 || got.Count != 3 || got.PerSecond() != 1.5 {
		t.Errorf("Summarize = %+v, %v/s", got, got.PerSecond())
	}
	if none := Summarize(nil, 0); none.PerSecond() != 0 || none.P50 != 0 {
		t.Errorf("Summarize of nothing = %+v", none)
	}
}

func TestRate(t *testing.T) {
	if got := (Bulk{Bytes: 3e6, Elapsed: 2 * time.Second}).Rate(); got != 1.5 {
		t.Errorf("Rate = %v, want 1.5", got)
	}
}

// serve starts a server and returns where it is.
func serve(t *testing.T, name string) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Serve(t.Context(), l, name) }()
	t.Cleanup(func() { // the test's context has ended by now
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return Target{Addr: l.Addr().String()}
}

func TestTransfers(t *testing.T) {
	to := serve(t, "me")
	for name, f := range map[string]func(context.Context, Target, int, time.Duration) (Bulk, error){
		"upload": Upload, "download": Download,
	} {
		for _, streams := range []int{1, 4} {
			b, err := f(t.Context(), to, streams, 10*time.Millisecond)
			if err != nil || b.Bytes < bufferSize {
				t.Errorf("%s on %d streams: %+v, %v", name, streams, b, err)
			}
		}
	}
}

func TestLatencies(t *testing.T) {
	to := serve(t, "me")
	if l, err := Ping(t.Context(), to, 5, time.Minute); err != nil || l.Count != 5 {
		t.Errorf("Ping: %+v, %v", l, err)
	}
	if l, err := Connect(t.Context(), to, 5, time.Minute); err != nil || l.Count != 5 {
		t.Errorf("Connect: %+v, %v", l, err)
	}
	if l, err := Loaded(t.Context(), to, 10*time.Millisecond); err != nil || l.Count == 0 {
		t.Errorf("Loaded: %+v, %v", l, err)
	}
	if _, err := Await(t.Context(), to, "me"); err != nil {
		t.Errorf("Await: %v", err)
	}
}

func TestStallLeavesOthersAlone(t *testing.T) {
	to := serve(t, "me")
	for _, direction := range []string{Downloads, Uploads} {
		ctx, cancel := context.WithCancel(t.Context())
		ready, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- Stall(ctx, to, 3, direction, func() { close(ready) }) }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatalf("%s: %v", direction, err)
		}
		if name, err := Who(t.Context(), to); name != "me" || err != nil {
			t.Errorf("beside stalled %s: %q, %v", direction, name, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", direction, err)
		}
	}
}
