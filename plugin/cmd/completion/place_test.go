//go:build unix

package completion

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/complete"
)

// home is a machine as krew leaves it: the plugin's versions in a store, and a link to one of
// them in a folder of PATH.
type home struct {
	t                     *testing.T
	bin, own, store, self string
	placer                placer
}

func newHome(t *testing.T) *home {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := &home{t: t, bin: filepath.Join(root, "krew", "bin"), own: filepath.Join(root, "own bin"), store: filepath.Join(root, "krew", "store")}
	for _, dir := range []string{h.bin, h.own, h.store} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.placer = placer{system: "linux", path: strings.Join([]string{".", h.bin, h.own}, string(filepath.ListSeparator)), link: os.Symlink}
	h.upgrade("v1")
	h.placer.self = h.self
	return h
}

// upgrade is what krew does: another version, the link, and the end of the version before.
func (h *home) upgrade(version string) {
	h.t.Helper()
	before := h.self
	dir := filepath.Join(h.store, version)
	h.self = filepath.Join(dir, h.placer.file(complete.Plugin))
	link := filepath.Join(h.bin, h.placer.file(complete.Plugin))
	os.Remove(link)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(h.self, []byte(version), 0o755), os.Symlink(h.self, link)); err != nil {
		h.t.Fatal(err)
	}
	if before != "" {
		os.RemoveAll(filepath.Dir(before))
	}
}

// reads is what kubectl would run.
func (h *home) reads(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestPlacedProgramFollowsUpgrades(t *testing.T) {
	for name, dir := range map[string]func(h *home) string{
		"beside the plugin": func(*home) string { return "" },
		"in another folder": func(h *home) string { return h.own },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			got, err := h.placer.place(dir(h))
			if err != nil || got.before || got.hidden != "" || h.reads(got.path) != "v1" {
				t.Fatalf("%+v, %v", got, err)
			}
			h.upgrade("v2")
			if text := h.reads(got.path); text != "v2" {
				t.Errorf("after the upgrade it is %s", text)
			}
			if again, err := h.placer.place(dir(h)); err != nil || !again.before || again.path != got.path {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// Without the right to make links there is a copy, with the time of the plugin.
func TestWindowsCopy(t *testing.T) {
	h := newHome(t)
	h.placer.system = "windows"
	h.upgrade("v1 of windows")
	h.placer.link = func(string, string) error { return errors.New("a required privilege is not held by the client") }
	for range 2 {
		got, err := h.placer.place("")
		if err != nil || filepath.Base(got.path) != "kubectl_complete-intercept.exe" || h.reads(got.path) != "v1 of windows" {
			t.Fatalf("%+v, %v", got, err)
		}
		if next := complete.Successor(got.path, nil); next != "" {
			t.Errorf("it hands over to %s", next)
		}
	}
	h.upgrade("v22")
	path := filepath.Join(h.bin, "kubectl_complete-intercept.exe")
	if next := complete.Successor(path, nil); h.reads(next) != "v22" {
		t.Errorf("after the upgrade it hands over to %q", next)
	}
}

func TestRefusals(t *testing.T) {
	denied := func(string, string) error {
		return &os.LinkError{Op: "symlink", Err: fs.ErrPermission}
	}
	for name, tt := range map[string]struct {
		change func(h *home)
		dir    string
		want   []string
	}{
		"no plugin on PATH": {
			change: func(h *home) { h.placer.path = h.own },
			want:   []string{"no folder of PATH has kubectl-intercept", "put SELF into one", "--dir"}},
		"not on PATH": {dir: "STORE", want: []string{"STORE is none of them: add it to PATH", "--dir"}},
		"not writable": {
			change: func(h *home) { h.placer.link = denied },
			want:   []string{"you may not write into BIN: run\n    sudo ln -sf BIN/kubectl-intercept BIN/kubectl_complete-intercept\n", "--dir"}},
		"not writable, with a space": {
			change: func(h *home) { h.placer.link = denied }, dir: "OWN",
			want: []string{"sudo ln -sf BIN/kubectl-intercept 'OWN/kubectl_complete-intercept'\n"}},
		"somebody else's": {
			change: func(h *home) {
				if err := os.WriteFile(filepath.Join(h.bin, complete.Executable), []byte("#!/bin/sh\n"), 0o755); err != nil {
					h.t.Fatal(err)
				}
			},
			want: []string{"BIN/kubectl_complete-intercept is there already and was not put there by kubectl intercept: remove it"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			if tt.change != nil {
				tt.change(h)
			}
			names := strings.NewReplacer("BIN", h.bin, "OWN", h.own, "STORE", h.store, "SELF", h.placer.self)
			got, err := h.placer.place(names.Replace(tt.dir))
			if err == nil {
				t.Fatalf("it is placed: %+v", got)
			}
			for _, want := range tt.want {
				if want = names.Replace(want); !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not contain %q", err, want)
				}
			}
		})
	}
}

// A link to a plugin that is gone is replaced. One that kubectl would find first is told of.
func TestPlaceMends(t *testing.T) {
	h := newHome(t)
	path := filepath.Join(h.own, complete.Executable)
	if err := os.Symlink(filepath.Join(h.store, "v0", complete.Plugin), path); err != nil {
		t.Fatal(err)
	}
	got, err := h.placer.place(h.own)
	if err != nil || got.before || h.reads(path) != "v1" {
		t.Fatalf("%+v, %v", got, err)
	}
	first := filepath.Join(h.bin, complete.Executable)
	if err := os.WriteFile(first, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := h.placer.place(h.own); err != nil || got.hidden != first {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReport(t *testing.T) {
	for name, tt := range map[string]struct {
		placed        placed
		shell, system string
		out, err      string
	}{
		"bash":    {placed{path: "/b/k"}, "/bin/bash", "linux", "/b/k completes what follows kubectl intercept\n", "It works where your shell completes kubectl 1.26 or later: source <(kubectl completion bash)\n"},
		"again":   {placed{path: "/b/k", before: true}, "/usr/bin/fish", "darwin", "/b/k completed already, and goes on to complete, what follows kubectl intercept\n", "kubectl completion fish | source\n"},
		"windows": {placed{path: `C:\k.exe`}, "", "windows", `C:\k.exe completes what follows kubectl intercept` + "\n", "kubectl completion powershell | Out-String | Invoke-Expression\n"},
		"unknown": {placed{path: "/b/k"}, "/bin/dash", "linux", "/b/k completes what follows kubectl intercept\n", "kubectl completion --help\n"},
		"hidden":  {placed{path: "/b/k", hidden: "/a/k"}, "/bin/zsh", "linux", "/b/k completes what follows kubectl intercept\n", "/a/k instead, whose folder is earlier in PATH: remove that file\n"},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, out, errOut := genericiooptions.NewTestIOStreams()
			if err := report(streams, &tt.placed, tt.shell, tt.system); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.out || !strings.Contains(errOut.String(), tt.err) {
				t.Errorf("%q and %q", out, errOut)
			}
		})
	}
}
