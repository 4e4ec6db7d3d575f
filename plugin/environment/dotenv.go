package environment

import (
	"bufio"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// isPlain says that all syntaxes read a value without quotes as it is.
func isPlain(value string) bool {
	return value != "" && !strings.ContainsFunc(value, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:@+,-", r))
	})
}

// dotenv writes for the packages dotenv of Node and python-dotenv. Their quotes have no way
// to escape a quote, so the value decides about the form. Where both packages read a form in
// the same way, it is preferred to one that only Node's reads.
//
//	'…'  Node: all literal, but a backslash at the end would hide the quote.
//	     Python: \\ and \' are escapes.
//	…    Both: # begins a comment, and spaces around the value are dropped.
//	"…"  Node: \n and \r are escapes. Python: many more are. Neither keeps a CR as it is.
//	`…`  Node: all literal. Python does not know it.
//
// python-dotenv also replaces ${NAME} in all forms, unless it is told not to.
func dotenv(name, value string) (line, reason string) {
	has := func(text string) bool { return strings.Contains(value, text) }
	quotable := func(quote string) bool { return !has(quote) && !strings.HasSuffix(value, `\`) }
	double := quotable(`"`) && !escapesOfNode.MatchString(value)
	forms := []struct {
		holds bool
		text  string
	}{
		{isPlain(value), value},
		{quotable("'") && !has("\r") && !has(`\\`), "'" + value + "'"},
		{isBare(value), value},
		{double && !escapesOfPython.MatchString(value), `"` + strings.ReplaceAll(value, "\r", `\r`) + `"`},
		{quotable("'") && !has("\r"), "'" + value + "'"},
		{double, `"` + strings.ReplaceAll(value, "\r", `\r`) + `"`},
		{quotable("`") && !has("\r"), "`" + value + "`"},
	}
	for _, f := range forms {
		if f.holds {
			return name + "=" + f.text, ""
		}
	}
	return "", "dotenv files cannot hold this mix of quotes, line breaks, # and backslashes"
}

// Sequences that are read as escapes within "…".
var (
	escapesOfNode   = regexp.MustCompile(`\\[nr]`)
	escapesOfPython = regexp.MustCompile(`\\[\\'"abfnrtv]`)
)

// isBare says that a value can stand without quotes.
func isBare(value string) bool {
	return value != "" && !strings.ContainsAny(value[:1], "'\"`") && strings.Trim(value, " ") == value &&
		!strings.ContainsFunc(value, func(r rune) bool {
			return r == '#' || r != ' ' && (unicode.IsSpace(r) || unicode.IsControl(r) || slices.Contains([]rune{'\u2028', '\u2029', '\ufeff'}, r))
		})
}

// docker writes for `docker run --env-file` and podman's, which have a line for each
// variable, and no quotes.
func docker(name, value string) (line, reason string) {
	line = name + "=" + value
	switch {
	case strings.Contains(value, "\n"), strings.HasSuffix(value, "\r"):
		return "", "docker's files have no line breaks in values"
	case len(line) >= bufio.MaxScanTokenSize:
		return "", "docker's files have no lines of 64 KiB"
	default:
		return line, ""
	}
}

// compose writes for the env_file of docker compose. Within '…' nothing is an escape but \',
// which older versions do not know; within "…" are many, and variables are replaced.
func compose(name, value string) (line, reason string) {
	switch trailing := len(value) - len(strings.TrimRight(value, `\`)); {
	case isPlain(value):
		return name + "=" + value, ""
	case !strings.Contains(value, "'") && trailing%2 == 0: // a pair does not hide the quote
		return name + "='" + value + "'", ""
	default:
		return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", "$$").Replace(value) + `"`, ""
	}
}
