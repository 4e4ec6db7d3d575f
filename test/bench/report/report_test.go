package report

import (
	"errors"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3},
	} {
		if got := Median(tt.in); got != tt.want {
			t.Errorf("Median(%v) = %v, want %v", tt.in, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	failed := errors.New("stuck")
	for _, tt := range []struct {
		name               string
		bar                Bar
		forward, intercept any
		want               string
	}{
		{"ratio reached", Bar{Kind: RatioAtLeast, Limit: 1.2}, 100.0, 120.0, OK},
		{"ratio missed", Bar{Kind: RatioAtLeast, Limit: 1.2}, 100.0, 119.0, Below},
		{"low enough", Bar{Kind: RatioAtMost, Limit: 0.5}, 100.0, 50.0, OK},
		{"too high", Bar{Kind: RatioAtMost, Limit: 0.5}, 100.0, 51.0, Below},
		{"value", Bar{Kind: AtMost, Limit: 20}, nil, 20.0, OK},
		{"value too high", Bar{Kind: AtMost, Limit: 20}, nil, 20.1, Below},
		{"intercept failed", Bar{Kind: AtMost, Limit: 20}, nil, failed, Below},
		{"intercept failed, low wanted", Bar{Kind: RatioAtMost, Limit: 0.5}, 100.0, failed, Below},
		{"port-forward failed", Bar{Kind: RatioAtLeast, Limit: 1.2}, failed, 1.0, OK},
		{"both failed", Bar{Kind: RatioAtLeast, Limit: 1.2}, failed, failed, Below},
		{"nothing to compare with", Bar{Kind: RatioAtLeast, Limit: 1.2}, nil, 10.0, Below},
		{"no bar", Bar{}, 100.0, 1.0, ""},
		{"not measured", Bar{Kind: AtMost, Limit: 1}, 100.0, nil, ""},
		{"enough", Bar{Kind: AtLeast, Limit: 5}, nil, 5.0, OK},
		{"not enough", Bar{Kind: AtLeast, Limit: 5}, nil, 4.0, Below},
		{"added little", Bar{Kind: AddedAtMost, Limit: 5}, 10.0, 15.0, OK},
		{"added too much", Bar{Kind: AddedAtMost, Limit: 5}, 10.0, 15.1, Below},
		{"added to nothing", Bar{Kind: AddedAtMost, Limit: 5}, nil, 1.0, Below},
		{"added to what failed", Bar{Kind: AddedAtMost, Limit: 5}, failed, 1.0, Below},
		{"floor reached", Bar{Kind: RatioAtLeast, Limit: 0.3, Floor: 10, Given: 30}, 30.0, 10.0, OK},
		{"floor missed", Bar{Kind: RatioAtLeast, Limit: 0.3, Floor: 10, Given: 30}, 30.0, 9.5, Below},
		{"floor not asked for", Bar{Kind: RatioAtLeast, Limit: 0.3, Floor: 10, Given: 30}, 29.0, 9.5, OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New([]Figure{{Key: "k", Unit: Megabytes, Bar: tt.bar}})
			for column, v := range map[string]any{Forward: tt.forward, Intercept: tt.intercept} {
				switch v := v.(type) {
				case float64:
					r.Add("k", column, v)
				case error:
					r.Fail("k", column, v)
				}
			}
			if rows := r.Rows(); rows[0].Verdict != tt.want {
				t.Errorf("verdict %q, want %q (%+v)", rows[0].Verdict, tt.want, rows[0])
			}
		})
	}
}

func TestTable(t *testing.T) {
	r := New([]Figure{
		{Key: "up", Title: "upload", Unit: Rate, Bar: Bar{Kind: RatioAtLeast, Limit: 1.05}, Floor: map[string]float64{Direct: 1500, Forward: 150}},
		{Key: "never", Title: "not measured"},
		{Key: "beside", Title: "beside others", Unit: Rate, Bar: Bar{Kind: RatioAtLeast, Limit: 0.8, Base: "up"}},
		{Key: "rtt", Title: "round trip", Unit: Millis},
	})
	r.Add("up", Direct, 1400)
	for _, v := range []float64{200, 100, 250} {
		r.Add("up", Forward, v)
		r.Add("up", Intercept, v+100)
	}
	r.Add("beside", Intercept, 200)
	r.Fail("beside", Forward, errors.New("stuck"))
	r.Add("rtt", Intercept, 0.3141)
	var b strings.Builder
	if err := Print(&b, r.Rows()); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"                     direct  port-forward  intercept  ratio  bar",
		"upload         MB/s    1400           200        300   1.50  ≥ 1.05  ok",
		"beside others  MB/s       -        failed        200   0.67  ≥ 0.80  below",
		"round trip     ms         -             -      0.314",
		"",
	}, "\n")
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
	if noise := r.Noise(); len(noise) != 1 || !strings.Contains(noise[0], "1400 MB/s is under 1500") {
		t.Errorf("noise: %q", noise)
	}
}

// TestTables: every judged column has a table of its own.
func TestTables(t *testing.T) {
	r := New([]Figure{
		{Key: "in", Title: "in", Unit: Rate},
		{Key: "out", Title: "out", Unit: Rate, Column: Outbound, Bar: Bar{Kind: RatioAtLeast, Limit: 2}},
		{Key: "alone", Title: "alone", Unit: Gigabits, Column: Outbound, Bar: Bar{Kind: RatioAtLeast, Limit: 0.3, Against: Loopback}},
		{Key: "beside", Title: "beside", Unit: Rate, Column: Outbound, Bar: Bar{Kind: RatioAtMost, Limit: 2, Base: "out"}},
	})
	r.Add("in", Intercept, 1)
	r.Add("out", Forward, 100)
	r.Add("out", Outbound, 150)
	r.Add("beside", Outbound, 300)
	r.Add("alone", Loopback, 40)
	r.Add("alone", Outbound, 20)
	var b strings.Builder
	if err := Print(&b, r.Rows()); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"          direct  port-forward  intercept  ratio  bar",
		"in  MB/s       -             -          1",
		"",
		"                loopback  direct  port-forward  outbound  ratio  bar",
		"out     MB/s           -       -           100       150   1.50  ≥ 2.00  below",
		"alone   Gbit/s      40.0       -             -      20.0   0.50  ≥ 0.30  ok",
		"beside  MB/s           -       -             -       300   2.00  ≤ 2.00  ok",
		"",
	}, "\n")
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestGrid(t *testing.T) {
	g := Grid{Title: "CPU", Columns: []string{"a", "not measured", "b"}}
	g.Add("session", "a", 1)
	g.Add("session", "a", 3)
	g.Add("agent", "b", 0.5)
	var b strings.Builder
	if err := g.Print(&b); err != nil {
		t.Fatal(err)
	}
	if want := "CPU         a     b\nsession  2.00     -\nagent       -  0.50\n"; b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}
