package environment

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// There is no PowerShell and no cmd where the tests run, so these read by the rules that
// Microsoft has written down.

// readPowerShell reads assignments. Rules (about_Quoting_Rules, about_Variables): a string
// in single quotes ends at a single quote that is not doubled, a doubled one stands for
// one, and nothing else in it is special. ‘ ’ ‚ ‛ are single quotes as well.
func readPowerShell(text, drive string) (map[string]string, error) {
	isQuote := func(r rune) bool { return strings.ContainsRune("'‘’‚‛", r) }
	all := map[string]string{}
	for text = strings.TrimPrefix(text, "\ufeff"); text != ""; {
		variable, rest, ok := strings.Cut(text, " = ")
		variable = strings.TrimPrefix(strings.Trim(strings.TrimPrefix(variable, "$"), "{}"), drive)
		if !ok || rest == "" || rest[0] != '\'' {
			return nil, fmt.Errorf("no assignment: %q", text)
		}
		var value strings.Builder
		runes := []rune(rest)[1:]
		for i := 0; ; i++ {
			if i == len(runes) {
				return nil, fmt.Errorf("%s is not terminated", variable)
			}
			if isQuote(runes[i]) {
				if i+1 == len(runes) || !isQuote(runes[i+1]) {
					text = string(runes[i+1:])
					break
				}
				i++
			}
			value.WriteRune(runes[i])
		}
		all[variable] = value.String()
		if !strings.HasPrefix(text, "\n") {
			return nil, fmt.Errorf("after %s: %q", variable, text)
		}
		text = text[1:]
	}
	return all, nil
}

func FuzzPowerShell(f *testing.F) {
	for _, value := range []string{"", "a'b", "‘x’‚‛", "$(rm)`n\n\"", "'", "\ufeff"} {
		f.Add("NAME", value)
	}
	f.Add("my.name", "x")
	f.Fuzz(func(t *testing.T, name, value string) {
		for syntax, drive := range map[Syntax]string{"ps": "", "ps:export": "Env:"} {
			text, left := syntax.Encode(variables(name, value, "LAST", "l"))
			if len(left) > 0 {
				continue
			}
			if name == "LAST" {
				return
			}
			got, err := readPowerShell(string(text), drive)
			if err != nil || len(got) != 2 || got[name] != value || got["LAST"] != "l" {
				t.Errorf("%s: %q, %v, is read as %q", syntax, text, err, got)
			}
		}
	})
}

// readCmd reads `set` in a batch file, in the order in which cmd does: first %% becomes %,
// and a single % would begin a variable. Then ^ outside of quotes takes the meaning from
// the next character, and & | < > outside of quotes end the command. Then set takes what is
// between its first quote and its last.
func readCmd(line string) (name, value string, err error) {
	line, ok := strings.CutPrefix(line, "@set ")
	if !ok {
		return "", "", fmt.Errorf("no set: %q", line)
	}
	if strings.Contains(strings.ReplaceAll(line, "%%", ""), "%") {
		return "", "", fmt.Errorf("a variable is replaced: %q", line)
	}
	var b strings.Builder
	quoted, escaped := false, false
	for _, r := range strings.ReplaceAll(line, "%%", "%") {
		switch {
		case escaped:
			escaped = false
		case r == '"':
			quoted = !quoted
		case !quoted && r == '^':
			escaped = true
			continue
		case !quoted && strings.ContainsRune("&|<>", r):
			return "", "", fmt.Errorf("another command begins: %q", line)
		}
		b.WriteRune(r)
	}
	line = b.String()
	if line[0] != '"' {
		return "", "", fmt.Errorf("no quote: %q", line)
	}
	name, value, _ = strings.Cut(line[1:strings.LastIndexByte(line, '"')], "=")
	return name, value, nil
}

func FuzzCmd(f *testing.F) {
	for _, value := range []string{"", `a"b`, `{"a": "b & c"}`, `"`, `"^&|<>()`, "%PATH%", "!x!", `x "" & y`, "é"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, left := Syntax("cmd").Encode(variables("NAME", value))
		if len(left) > 0 {
			return
		}
		line, ok := strings.CutSuffix(strings.TrimPrefix(string(text), "@chcp 65001 >nul\r\n"), "\r\n")
		name, got, err := readCmd(line)
		if err != nil || !ok || name != "NAME" || got != value || !utf8.ValidString(line) {
			t.Errorf("%q, %v, is read as %s=%q", text, err, name, got)
		}
	})
}
