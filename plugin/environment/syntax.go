package environment

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Syntax is how a file says the variables.
type Syntax string

// Syntaxes lists what ParseSyntax accepts.
func Syntaxes() []string {
	return []string{"dotenv", "docker", "compose", "sh", "sh:export", "csh", "csh:export", "ps", "ps:export", "cmd", "json"}
}

// ParseSyntax reads a Syntax as typed.
func ParseSyntax(text string) (Syntax, error) {
	for _, name := range Syntaxes() {
		if text == name {
			return Syntax(name), nil
		}
	}
	return "", fmt.Errorf("%q is no syntax of environment files: use %s", text, strings.Join(Syntaxes(), ", "))
}

// LeftOut is a variable that a syntax cannot express, and why not.
type LeftOut struct{ Name, Reason string }

// Encode writes variables, one after the other, and returns those that the syntax cannot
// express.
func (s Syntax) Encode(e Environment) (text []byte, left []LeftOut) {
	w := s.writer()
	var lines []string
	unicode := false
	for _, v := range e {
		line, reason := "", refuse(v, w)
		if reason == "" {
			line, reason = w.line(v.Name, v.Value)
		}
		if reason != "" {
			left = append(left, LeftOut{v.Name, reason})
			continue
		}
		lines = append(lines, line)
		unicode = unicode || strings.ContainsFunc(line, func(r rune) bool { return r >= utf8.RuneSelf })
	}
	out := w.before + strings.Join(lines, w.between) + w.after
	if unicode {
		out = w.unicode + out
	}
	return []byte(out), left
}

// writer is how variables are written in a syntax.
type writer struct {
	// name is what names the syntax has.
	name *regexp.Regexp
	// bytes says that values need not be UTF-8.
	bytes bool
	// before, between and after are around the lines; unicode comes first of all if there
	// is any character beyond ASCII.
	before, between, after, unicode string
	// line writes one variable, or says why it cannot.
	line func(name, value string) (line, reason string)
}

func refuse(v Variable, w writer) string {
	switch {
	case !w.name.MatchString(v.Name):
		return "no name of a variable in this syntax"
	case !w.bytes && !utf8.ValidString(v.Value):
		return "the value is not UTF-8"
	default:
		return ""
	}
}

func (s Syntax) writer() writer {
	const identifier = `^[A-Za-z_][A-Za-z0-9_]*$`
	w := writer{after: "\n", between: "\n"}
	names := identifier
	switch s {
	case "dotenv":
		names, w.line = `^[A-Za-z0-9_.-]+$`, dotenv
	case "docker":
		names, w.line = `^[^\s#=][^\s=]*$`, docker
	case "compose":
		names, w.line = `^[A-Za-z_.-][A-Za-z0-9_.-]*$`, compose
	case "sh":
		w.bytes, w.line = true, sh("")
	case "sh:export":
		w.bytes, w.line = true, sh("export ")
	case "csh":
		w.bytes, w.line = true, cshSet
	case "csh:export":
		w.bytes, w.line = true, cshSetenv
	case "ps":
		names, w.line, w.unicode = `^[A-Za-z0-9_.-]+$`, powershell(""), "\ufeff"
	case "ps:export":
		names, w.line, w.unicode = `^[A-Za-z0-9_.-]+$`, powershell("Env:"), "\ufeff"
	case "cmd":
		names, w.line = `^[A-Za-z_][A-Za-z0-9_.-]*$`, cmd
		w.between, w.after, w.unicode = "\r\n", "\r\n", "@chcp 65001 >nul\r\n"
	case "json":
		names, w.line = `(?s)^.+$`, jsonMember
		w.before, w.between, w.after = "{\n", ",\n", "\n}\n"
	}
	w.name = regexp.MustCompile(names)
	return w
}

// jsonMember writes a member of a JSON object.
func jsonMember(name, value string) (line, reason string) {
	if !utf8.ValidString(name) {
		return "", "the name is not UTF-8"
	}
	return "  " + jsonString(name) + ": " + jsonString(value), ""
}

func jsonString(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string always can be
	return strings.TrimSuffix(b.String(), "\n")
}
