package environ

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
)

func TestRead(t *testing.T) {
	f := newFake(t).process(7, 5, "0::/"+ours+"\n")
	large := strings.Repeat("x", 100<<10)
	f.put(7, "environ", "A=a\x00PASSWORD=sesame\x00LARGE="+large+"\x00LINES=1\n2=3\x00EMPTY=\x00PIN=12\x00")
	f.put(7, "cmdline", "app\x00--password=sesame\x00--both=12sesame12\x00\x00")
	got, err := f.Of(ours, []string{"PIN", "PASSWORD", "NONE"})
	want := &process.Process{
		Environment: process.Environment{{Name: "A", Value: "a"}, {Name: "LARGE", Value: large}, {Name: "LINES", Value: "1\n2=3"}, {Name: "EMPTY"}},
		Directory:   "/srv",
		Command:     []string{"app", "--password=$(PASSWORD)", "--both=$(PIN)$(PASSWORD)$(PIN)", ""},
		UID:         1000, GID: 1001, Groups: []uint32{7, 8},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%.2000s", err, diff)
	}
}

// A title in ps takes the memory of arguments and environment. What it leaves is not told.
func TestReadOfOverwrittenEnvironments(t *testing.T) {
	for name, c := range map[string]struct {
		environ, cmdline string
		args             area
	}{
		"NULs":                       {environ: strings.Repeat("\x00", 100)},
		"a title and NULs":           {environ: "main=1\x00\x00\x00\x00"},
		"a title and what it left":   {environ: "aster process\x00WORD=sesame\x00"},
		"a title to the end":         {environ: "aster=1"},
		"a title that looks so":      {environ: "a=b\x00WORD=sesame\x00", cmdline: "postgres: main a=b", args: area{100, 110}},
		"a title that hides an end":  {environ: "A=a\x00B=b", cmdline: "x"},
		"a title of one environment": {environ: "x", cmdline: "title"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t).process(7, 5, "0::/"+ours+"\n")
			f.put(7, "environ", c.environ)
			f.put(7, "cmdline", c.cmdline)
			if c.args.to > 0 {
				f.put(7, "stat", statLine(7, "app", 'R', 5, c.args))
			}
			got, err := f.Of(ours, []string{"PASSWORD"})
			if err != nil || !got.Overwritten || len(got.Environment) > 0 || len(got.Command) > 0 {
				t.Errorf("%v %+v", err, got)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for raw, want := range map[string]process.Environment{
		"":                        nil,
		"A=a\x00":                 {{Name: "A", Value: "a"}},
		"A=first\x00A=second\x00": {{Name: "A", Value: "first"}},
		"A==\x00=B\x00é=\xff\x00": {{Name: "A", Value: "="}, {Name: "é", Value: "\xff"}},
	} {
		got, intact := parse([]byte(raw))
		if diff := cmp.Diff(want, got); !intact || diff != "" {
			t.Errorf("%q: %t (-want +got):\n%s", raw, intact, diff)
		}
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fake)
		want   string
	}{
		"a zombie":                {func(f *fake) { f.put(7, "stat", statLine(7, "app", 'Z', 5, area{})) }, "is being restarted"},
		"an environ that is gone": {func(f *fake) { must(f.t, os.Remove(f.file(7, "environ"))) }, "is being restarted"},
		"a status that is gone":   {func(f *fake) { must(f.t, os.Remove(f.file(7, "status"))) }, "is being restarted"},
		"a large environment":     {func(f *fake) { f.put(7, "environ", strings.Repeat("A=a\x00", 1<<20+1)) }, "more than 4194304 bytes"},
		"no link":                 {func(f *fake) { must(f.t, os.Remove(f.file(7, "cwd"))); f.put(7, "cwd", "") }, "read the environment of process 7: "},
		"a status without users":  {func(f *fake) { f.put(7, "status", "Name:\tapp\n") }, "0 of Uid and Gid"},
		"a status that is cut":    {func(f *fake) { f.put(7, "status", "Uid:\t1\t2\n") }, "read the user of a process"},
		"an odd user":             {func(f *fake) { f.put(7, "status", "Uid:\t1\t2\t3\t-4\n") }, "read the user of a process"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t).process(7, 5, "0::/"+ours+"\n")
			c.change(f)
			if got, err := f.Of(ours, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v; want an error with %q", got, err, c.want)
			}
		})
	}
}

func TestParseStatRefuses(t *testing.T) {
	for _, text := range []string{"", "7 (app) S 1 2", "7 (app) " + strings.Repeat("x ", 50)} {
		if s, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, s)
		}
	}
	s, err := parseStat([]byte(strings.Join(strings.Fields(statLine(7, "a", 'S', 5, area{1, 2}))[:40], " ")))
	if err != nil || s.began != 5 || s.args != (area{}) {
		t.Errorf("an older kernel: %+v, %v", s, err)
	}
}

func TestRefusedSaysWhatIsMissing(t *testing.T) {
	err := refused(7, user{uid: 1000}, os.ErrPermission)
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "process 7 of user 1000") || !strings.Contains(err.Error(), "SYS_PTRACE") {
		t.Error(err)
	}
}

// FuzzParse: what is read of an environment is what was written.
func FuzzParse(f *testing.F) {
	f.Add([]byte("A=a\x00B=b\x00"))
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("A"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, intact := parse(raw)
		if !intact && all != nil {
			t.Errorf("%q is returned of what is not intact", all.Names())
		}
		var again strings.Builder
		for _, v := range all {
			if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") || strings.Contains(v.Value, "\x00") {
				t.Errorf("no process has %q", v.Name)
			}
			fmt.Fprintf(&again, "%s=%s\x00", v.Name, v.Value)
		}
		if got, ok := parse([]byte(again.String())); !ok || !cmp.Equal(all, got) {
			t.Errorf("%q is read again as %q", all.Names(), got.Names())
		}
		kept, dropped := exclude(all, []string{"A"})
		if _, found := kept.Lookup("A"); found || len(kept)+len(dropped) != len(all) {
			t.Errorf("A stays in %q", kept.Names())
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
