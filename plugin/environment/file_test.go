package environment

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestWriteFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, ".env")
	e := variables("A", "a")
	check := func(want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		info, serr := os.Stat(path)
		if err != nil || serr != nil || string(got) != want {
			t.Fatalf("%q, %v, %v; want %q", got, err, serr, want)
		}
		if runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("the mode is %v", info.Mode())
		}
		if list, _ := os.ReadDir(folder); len(list) != 1 {
			t.Errorf("the folder has %v", list)
		}
	}
	write := func(path string) {
		t.Helper()
		if left, err := Syntax("dotenv").WriteFile(path, e); err != nil || left != nil {
			t.Fatalf("%v, %v", left, err)
		}
	}
	write(path)
	check("A=a\n")
	if err := os.WriteFile(path, []byte("old, and longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	write(path)
	check("A=a\n")

	for path, want := range map[string]string{
		folder:                               "write the environment: " + folder + " is a folder: name a file",
		filepath.Join(folder, "none", "env"): "write the environment: ",
	} {
		if _, err := Syntax("dotenv").WriteFile(path, e); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestFlags(t *testing.T) {
	folder := t.TempDir()
	file, object := filepath.Join(folder, "env"), filepath.Join(folder, "env.json")
	for _, c := range []struct {
		line string
		want Files
		err  string
	}{
		{"", nil, ""},
		{"--env-file " + file, Files{{"--env-file", file, "dotenv"}}, ""},
		{"--env-file " + file + " --env-syntax sh:export --env-json " + object, Files{{"--env-file", file, "sh:export"}, {"--env-json", object, "json"}}, ""},
		{"--env-syntax sh", nil, "--env-syntax is about the file of --env-file: name one"},
		{"--env-file " + file + " --env-syntax zsh", nil, `--env-syntax: "zsh" is no syntax of environment files: use `},
	} {
		var f Flags
		fs := pflag.NewFlagSet("add", pflag.ContinueOnError)
		f.AddFlags(fs)
		if err := fs.Parse(strings.Fields(c.line)); err != nil {
			t.Fatal(err)
		}
		got, err := f.ToFiles()
		if !cmp.Equal(c.want, got) || (c.err == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%s: %v, %v", c.line, got, err)
		}
	}
}

func TestFilesTellWhatTheyDoNotHave(t *testing.T) {
	folder := t.TempDir()
	file, object := filepath.Join(folder, "env"), filepath.Join(folder, "env.json")
	e := variables("A", "a", "B", "b\n", "C D", "", "E", "\xff", "F", "\n")
	got, err := Files{{"--env-file", file, "docker"}, {"--env-json", object, "json"}}.Write(e)
	want := []string{
		file + " does not have B, F: docker's files have no line breaks in values",
		file + ` does not have "C D": no name of a variable in this syntax`,
		file + " does not have E: the value is not UTF-8",
		object + " does not have E: the value is not UTF-8",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "A=a\n" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := (Files{{"--env-file", folder, "docker"}}).Write(e); err == nil || !strings.HasPrefix(err.Error(), "--env-file: write the environment: ") {
		t.Error(err)
	}
}
