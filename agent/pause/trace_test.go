package pause

import "testing"

func TestParseThread(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       thread
	}{
		{"a traced one", "Name:\tnode worker\nState:\tt (tracing stop)\nPid:\t7\nTracerPid:\t12\nUid:\t1000\t1000\t1000\t1000\n", thread{"node worker", "1000", 't', 12}},
		{"a free one", "Name:\tsh\nState:\tS (sleeping)\nTracerPid:\t0\nUid:\t0\t0\t0\t0\n", thread{"sh", "0", 'S', 0}},
		{"cut short", "Name:\tsh\nState:", thread{name: "sh"}},
		{"nothing", "", thread{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := parseThread(test.text); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func FuzzParseThread(f *testing.F) {
	f.Add("Name:\tsh\nState:\tt (tracing stop)\nTracerPid:\t12\n")
	f.Fuzz(func(_ *testing.T, text string) { parseThread(text) })
}
