package environment

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEncode(t *testing.T) {
	const mix = "a'b\"c$d\\e!f%g"
	e := variables("PLAIN", "http://a:1", "EMPTY", "", "MIX", mix, "LINES", "a\nb", "UNICODE", "é")
	for syntax, want := range map[Syntax]string{
		"dotenv":     "PLAIN=http://a:1\nEMPTY=''\nMIX=" + mix + "\nLINES='a\nb'\nUNICODE='é'\n",
		"docker":     "PLAIN=http://a:1\nEMPTY=\nMIX=" + mix + "\nUNICODE=é\n",
		"compose":    "PLAIN=http://a:1\nEMPTY=''\nMIX=\"a'b\\\"c$$d\\\\e!f%g\"\nLINES='a\nb'\nUNICODE='é'\n",
		"sh":         "PLAIN='http://a:1'\nEMPTY=''\nMIX='a'\\''b\"c$d\\e!f%g'\nLINES='a\nb'\nUNICODE='é'\n",
		"sh:export":  "export PLAIN='http://a:1'\nexport EMPTY=''\nexport MIX='a'\\''b\"c$d\\e!f%g'\nexport LINES='a\nb'\nexport UNICODE='é'\n",
		"csh":        "set PLAIN='http://a:1'\nset EMPTY=''\nset MIX='a'\\''b\"c$d\\e\\!f%g'\nset LINES='a\\\nb'\nset UNICODE='é'\n",
		"csh:export": "setenv PLAIN 'http://a:1'\nsetenv EMPTY ''\nsetenv MIX 'a'\\''b\"c$d\\e\\!f%g'\nsetenv LINES 'a\\\nb'\nsetenv UNICODE 'é'\n",
		"ps":         "\ufeff$PLAIN = 'http://a:1'\n$EMPTY = ''\n$MIX = 'a''b\"c$d\\e!f%g'\n$LINES = 'a\nb'\n$UNICODE = 'é'\n",
		"ps:export":  "\ufeff$Env:PLAIN = 'http://a:1'\n$Env:EMPTY = ''\n$Env:MIX = 'a''b\"c$d\\e!f%g'\n$Env:LINES = 'a\nb'\n$Env:UNICODE = 'é'\n",
		"cmd":        "@chcp 65001 >nul\r\n@set \"PLAIN=http://a:1\"\r\n@set \"EMPTY=\"\r\n@set \"MIX=a'b\"c$d\\e!f%%g\"\r\n@set \"UNICODE=é\"\r\n",
		"json":       "{\n  \"PLAIN\": \"http://a:1\",\n  \"EMPTY\": \"\",\n  \"MIX\": \"a'b\\\"c$d\\\\e!f%g\",\n  \"LINES\": \"a\\nb\",\n  \"UNICODE\": \"é\"\n}\n",
	} {
		text, left := syntax.Encode(e)
		if diff := cmp.Diff(want, string(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", syntax, diff)
		}
		without := map[Syntax][]LeftOut{
			"docker": {{"LINES", "docker's files have no line breaks in values"}},
			"cmd":    {{"LINES", "cmd's variables have no line breaks"}},
		}[syntax]
		if diff := cmp.Diff(without, left); diff != "" {
			t.Errorf("%s left out (-want +got):\n%s", syntax, diff)
		}
	}
	if len(Syntaxes()) != 11 {
		t.Errorf("this table does not have all of %v", Syntaxes())
	}
}

// What is left out, by syntax. The tests with real consumers show that the rest is read back.
func TestEncodeLeavesOut(t *testing.T) {
	for _, c := range []struct{ syntaxes, name, value, reason string }{
		{"dotenv docker compose ps ps:export cmd json", "A", "\xff", "the value is not UTF-8"},
		{"json", "\xff", "", "the name is not UTF-8"},
		{"dotenv compose sh sh:export csh csh:export ps ps:export cmd", "A B", "", "no name of a variable in this syntax"},
		{"sh sh:export csh csh:export", "a.b", "", "no name of a variable in this syntax"},
		{"compose sh cmd", "1A", "", "no name of a variable in this syntax"},
		{"docker", "#A", "", "no name of a variable in this syntax"},
		{"docker", "A", "x\r", "docker's files have no line breaks in values"},
		{"docker", "A", strings.Repeat("x", 64<<10), "docker's files have no lines of 64 KiB"},
		{"dotenv", "A", "a'b\"c`d#", "dotenv files cannot hold this mix of quotes, line breaks, # and backslashes"},
		{"dotenv", "A", "a\n\\", "dotenv files cannot hold this mix of quotes, line breaks, # and backslashes"},
		{"dotenv", "A", "a\r\\n", "dotenv files cannot hold this mix of quotes, line breaks, # and backslashes"},
		{"sh sh:export", "UID", "1000", "shells keep the name for themselves"},
		{"csh", "path", "x", "csh gives names in lower case a meaning of its own: use csh:export"},
		{"ps", "Host", "x", "PowerShell keeps the name for itself: use ps:export"},
		{"cmd", "A", "a\rb", "cmd's variables have no line breaks"},
		{"cmd", "A", strings.Repeat("%", 4095), "cmd has no lines of more than 8191 characters"},
	} {
		for syntax := range strings.FieldsSeq(c.syntaxes) {
			text, left := Syntax(syntax).Encode(variables(c.name, c.value))
			if want := []LeftOut{{c.name, c.reason}}; !cmp.Equal(want, left) {
				t.Errorf("%s, %q: %q left out %v, want %v", syntax, c.name, text, left, want)
			}
		}
	}
}

func TestParseSyntax(t *testing.T) {
	for _, name := range Syntaxes() {
		if s, err := ParseSyntax(name); err != nil || string(s) != name {
			t.Errorf("%s: %q, %v", name, s, err)
		}
	}
	_, err := ParseSyntax("bash")
	if want := `"bash" is no syntax of environment files: use dotenv, docker, compose, sh, sh:export, csh, csh:export, ps, ps:export, cmd, json`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add("A", "<&>\u2028\x00")
	f.Fuzz(func(t *testing.T, name, value string) {
		text, left := Syntax("json").Encode(variables(name, value))
		got := map[string]string{}
		if err := json.Unmarshal(text, &got); err != nil && len(left) == 0 {
			t.Fatalf("%s: %v", text, err)
		}
		if want := map[string]string{name: value}; len(left) == 0 && !cmp.Equal(want, got) {
			t.Error(cmp.Diff(want, got))
		}
	})
}
