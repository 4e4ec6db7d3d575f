package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
)

const three = `time=2026-11-29T10:00:00.000Z level=INFO msg=one
time=2026-11-29T11:00:00.000Z level=INFO msg=two
	trace
time=2026-11-29T12:00:00.000Z level=INFO msg=three
`

func TestRecent(t *testing.T) {
	lines := strings.SplitAfter(three, "\n")
	at := func(hour int) time.Time { return time.Date(2026, 11, 29, hour, 0, 0, 0, time.UTC) }
	for name, test := range map[string]struct {
		text string
		o    Options
		want string
	}{
		"all":                       {three, Options{Tail: -1}, three},
		"none":                      {three, Options{Tail: 0}, ""},
		"two":                       {three, Options{Tail: 2}, lines[2] + lines[3]},
		"more than there are":       {three, Options{Tail: 9}, three},
		"since one of them":         {three, Options{Tail: -1, Since: at(11)}, lines[1] + lines[2] + lines[3]},
		"since between":             {three, Options{Tail: -1, Since: at(11).Add(time.Minute)}, lines[3]},
		"since later":               {three, Options{Tail: -1, Since: at(13)}, ""},
		"both":                      {three, Options{Tail: 1, Since: at(11)}, lines[3]},
		"another zone":              {"time=2026-11-29T12:30:00.000+01:00 level=INFO msg=x\n", Options{Tail: -1, Since: at(11)}, "time=2026-11-29T12:30:00.000+01:00 level=INFO msg=x\n"},
		"no time":                   {"one\ntwo\n", Options{Tail: -1, Since: at(11)}, ""},
		"no end of the last line":   {"one\ntwo", Options{Tail: 1}, "two"},
		"nothing at all":            {"", Options{Tail: 5}, ""},
		"a time that is not a time": {"time=yesterday msg=x\n", Options{Tail: -1, Since: at(11)}, ""},
	} {
		var out bytes.Buffer
		if err := recent(&out, strings.NewReader(test.text), test.o); err != nil || out.String() != test.want {
			t.Errorf("%s: %q (%v), want %q", name, out.String(), err, test.want)
		}
	}
}

func TestPrint(t *testing.T) {
	source := func(name, text string, err error) Source {
		return Source{Name: name, Write: func(_ context.Context, w io.Writer, _ Options) error {
			for _, r := range text { // in pieces
				if _, werr := io.WriteString(w, string(r)); werr != nil {
					return werr
				}
			}
			return err
		}}
	}
	var out bytes.Buffer
	err := Print(t.Context(), &out, []Source{source("a", "one\ntwo", nil), source("b", "", errors.New("no")), source("c", "three\n", nil)}, Options{Tail: -1})
	if err == nil || err.Error() != "b: no" {
		t.Errorf("error %v, want b's", err)
	}
	if want := "[a] one\n[a] two\n[c] three\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Print(ctx, &out, []Source{source("a", "", errors.New("cut off"))}, Options{Follow: true}); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

func TestNetdAbsent(t *testing.T) {
	f := &netd.Finder{System: "windows", Installed: filepath.Join(t.TempDir(), "intercept-netd.exe")}
	var out bytes.Buffer
	err := Netd(f).Write(t.Context(), &out, Options{Tail: -1})
	if err == nil || err.Error() != "there is no log of intercept-netd: it has not run since this machine started" {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(f.Installed), "netd.log"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Netd(f).Write(t.Context(), &out, Options{Tail: -1}); err != nil || out.String() != "x\n" {
		t.Errorf("read %q, %v", out.String(), err)
	}
}
