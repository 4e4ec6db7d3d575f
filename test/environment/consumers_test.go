//go:build e2e

package environment

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
)

// consumers read a file, $F, and print what they read with a NUL after each variable.
func consumers() []struct{ syntax, name, line string } {
	const (
		python = `PYTHONHOME=$B/tools/usr PYTHONPATH=$B/tools/usr/lib/python3/dist-packages python3.11 read.py `
		node   = `NODE_PATH=$B/environment/node_modules LD_LIBRARY_PATH= $NODE read.js `
	)
	return []struct{ syntax, name, line string }{
		{"sh", "bash", `bash -c 'set -a; . $F; env -0'`},
		{"sh", "dash", `dash -c 'set -a; . $F; env -0'`},
		{"sh", "zsh", `zsh -f -c 'set -a; . $F; env -0'`},
		{"sh:export", "bash", `bash -c '. $F; env -0'`},
		{"sh:export", "bash --posix", `bash --posix -e -c '. $F; env -0'`},
		{"sh:export", "dash", `dash -e -c '. $F; env -0'`},
		{"sh:export", "zsh", `zsh -f -e -c '. $F; env -0'`},
		{"csh:export", "tcsh", `tcsh -f -c 'source $F; env -0'`},
		// csh does not hand on what it sets, so it is asked for each.
		{"csh", "tcsh", `{ printf '%s\n' "source $F"; for n in $N; do printf '%s\n' "/usr/bin/printf '$n=%s\\0' \$$n:q"; done; } >$F.csh; tcsh -f $F.csh`},
		{"dotenv", "node", node + "dotenv $F"},
		{"dotenv", "python", python + "dotenv $F 2>/dev/null"}, // it complains of what only Node reads
		{"json", "node", node + "json $F"},
		{"json", "python", python + "json $F"},
		{"docker", "docker", `$B/environment/readers docker $F`},
		{"compose", "compose", `$B/environment/readers compose $F`},
	}
}

// chosen are values that people have, and the syntaxes that leave them out.
func chosen() (e environment.Environment, left map[string][]string) {
	left = map[string][]string{}
	for i, c := range []struct{ value, left string }{
		{"", ""},
		{"plain", ""},
		{" spaces around ", ""},
		{"postgres://user:p%40ss$word@db:5432/app?sslmode=disable#top", ""},
		{`{"a": "it's \"quoted\"", "b": ["\\n", "$HOME", "${HOME:-x}", "$(id)"]}`, ""},
		{`C:\Users\new\`, ""},
		{"!history !! !$ %PATH% ^caret & | < > ; * ? ~", ""},
		{"`id` $$ \\$ $", ""},
		{"it's", ""},
		{`say "hi"`, ""},
		{"Grüße, 世界 🙂 \u00a0 ‘x’", ""},
		{"-----BEGIN KEY-----\nMIIB\n+/=\n-----END KEY-----\n", "docker"},
		{"line\r\nline\r\n", "docker"},
		{"it's\n\"both\"", "docker"},
		{"\t\x01\x7f", ""},
		{"# no comment", ""},
		{"a # no comment", ""},
		{strings.Repeat("x", 60<<10), ""},
		{strings.Repeat("100 KiB é", 10<<10), "docker"},
		{"\xff\xfe", "dotenv docker compose json"},
		{"${A", ""},
		{"export A=b", ""},
	} {
		name := fmt.Sprintf("CHOSEN%d", i)
		e = append(e, environment.Variable{Name: name, Value: c.value})
		for syntax := range strings.FieldsSeq(c.left) {
			left[syntax] = append(left[syntax], name)
		}
	}
	return e, left
}

// generated are all values of up to length of the characters that some syntax knows.
func generated(length int) (e environment.Environment) {
	values, last := []string{}, []string{""}
	for range length {
		var longer []string
		for _, v := range last {
			for _, c := range "'\"`\\$!%#\n\r\t =n{é" {
				longer = append(longer, v+string(c))
			}
		}
		values, last = append(values, longer...), longer
	}
	for i, v := range values {
		e = append(e, environment.Variable{Name: fmt.Sprintf("V%d", i), Value: v})
	}
	return e
}

// TestConsumers: what real programs read of a file is what the container has, less what the
// writer says that it has left out.
func TestConsumers(t *testing.T) {
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	few, left := chosen()
	for _, c := range consumers() {
		t.Run(c.syntax+" by "+c.name, func(t *testing.T) {
			got := check(t, bin, environment.Syntax(c.syntax), c.name, c.line, slices.Clone(few))
			if !slices.Equal(got, left[c.syntax]) {
				t.Errorf("left out: %v, want %v", got, left[c.syntax])
			}
			length := 3
			if c.syntax == "csh" {
				length = 2 // a process prints each
			}
			many := generated(length)
			got = check(t, bin, environment.Syntax(c.syntax), c.name, c.line, many)
			t.Logf("left out: %d of %d generated values", len(got), len(many))
		})
	}
}

// check writes a file, has it read, and returns the names that were left out.
func check(t *testing.T, bin string, syntax environment.Syntax, consumer, line string, e environment.Environment) (out []string) {
	t.Helper()
	if consumer == "python" && syntax == "dotenv" { // a value that it cannot read hides the next
		e = slices.DeleteFunc(e, func(v environment.Variable) bool { return onlyNode(v.Value) })
	}
	file := filepath.Join(t.TempDir(), "env")
	left, err := syntax.WriteFile(file, e)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, v := range e {
		want[v.Name] = v.Value
	}
	for _, l := range left {
		out = append(out, l.Name)
		delete(want, l.Name)
	}
	got := read(t, bin, file, line, slices.Sorted(maps.Keys(want)))
	wrong := 0
	for _, v := range e {
		value, expected := want[v.Name]
		read, there := got[v.Name]
		if expected != there || value != read {
			if wrong++; wrong <= 20 {
				t.Errorf("%s: %.200q is read as %.200q (%t)", v.Name, value, read, there)
			}
		}
	}
	return out
}

// onlyNode says that python-dotenv cannot read a value in any form that Node's dotenv
// reads: it has an escape in each.
func onlyNode(value string) bool {
	return strings.Contains(value, `\`) || strings.Contains(value, "'") && strings.Contains(value, `"`)
}

// read runs a line of shell in an environment of its own.
func read(t *testing.T, bin, file, line string, names []string) map[string]string {
	t.Helper()
	libraries, _ := filepath.Glob(filepath.Join(bin, "tools/usr/lib/*-linux-gnu"))
	more, _ := filepath.Glob(filepath.Join(bin, "tools/lib/*-linux-gnu"))
	node, err := exec.LookPath("node") // npm's: Debian's runs only where it is installed
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = []string{
		"B=" + bin, "NODE=" + node, "F=" + file, "N=" + strings.Join(names, " "), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8",
		"PATH=" + bin + "/tools/usr/bin:" + bin + "/tools/bin:" + os.Getenv("PATH"),
		"LD_LIBRARY_PATH=" + strings.Join(append(libraries, more...), ":"),
	}
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil || errors.Len() > 0 {
		t.Fatalf("%v\n%.2000s", err, errors.String())
	}
	all := map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		all[name] = value
	}
	return all
}
