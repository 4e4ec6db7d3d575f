// Package redact takes out of texts and objects what must not leave this machine in a
// bundle of logs: tokens, passwords, and the values of environment variables and headers.
// It also replaces names by made-up ones.
package redact

import (
	"regexp"
	"strings"
)

// Mark is in the place of what was taken out.
const Mark = "<redacted>"

// secretWord is a part of the names of things whose values are secret.
const secretWord = `(?:token|passw(?:or)?d|passphrase|secret|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|encryption[_-]?key|signing[_-]?key|key-data|credential|signature|session[_-]?id|jwt|dsn)`

// value is one in a text: in quotes, which a quoted text may have escaped, in brackets, or
// up to the next space.
const value = `(\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|\[[^\]]*\]|[^\s,;&"')\]}]+)`

var (
	privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`)
	jwt        = regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?`)
	// header is one whose value may have spaces: it ends with the line, or the quote.
	header   = regexp.MustCompile(`(?i)(\b(?:proxy-authorization|authorization|set-cookie|cookie)(?:\\?["'])?\s*[:=]\s*\[?(?:\\?["'])?)[^"'\\\r\n\]]+`)
	scheme   = regexp.MustCompile(`(?i)\b((?:bearer|basic|negotiate)\s+)([\w.~+/=-]{6,})`)
	pair     = regexp.MustCompile(`(?i)([\w.-]*` + secretWord + `[\w.-]*)((?:\\?["'])?\s*(?:=>|[:=])\s*)` + value)
	flag     = regexp.MustCompile(`(?i)(--?[\w-]*` + secretWord + `[\w-]*)(\s+)` + value)
	userinfo = regexp.MustCompile(`(\b[a-zA-Z][\w+.-]*://)[^/\s:@"']*:[^\s@"']+@`)
	brand    = regexp.MustCompile(`\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|sk-[\w-]{20,}|AIza[\w-]{30,})`)
	// Values that intercepts match on, as the product writes them.
	condition = regexp.MustCompile(`(regexp\(\\*").*?(\\*"\))`)
	curl      = regexp.MustCompile(`(-H '[^:']+: )[^']*'`)
	matched   = regexp.MustCompile(`(--(?:http-)?match[= ](?:\\?["'])?[^\s=]+=)[^\s"'\\]+`)
)

// harmless are ends of names that have a secret word and no secret value.
var harmless = regexp.MustCompile(`(?i)(?:name|names|namespace|ref|seconds|count|path|file|dir|ttl|type|method|url)$`)

// Text takes secrets out of a text.
func Text(s string) string {
	s = privateKey.ReplaceAllString(s, Mark)
	s = header.ReplaceAllString(s, "${1}"+Mark)
	s = jwt.ReplaceAllString(s, Mark)
	s = scheme.ReplaceAllStringFunc(s, func(m string) string {
		parts := scheme.FindStringSubmatch(m)
		if !random(parts[2]) {
			return m
		}
		return parts[1] + Mark
	})
	s = userinfo.ReplaceAllString(s, "${1}"+Mark+"@")
	s = named(pair, s)
	s = named(flag, s)
	s = brand.ReplaceAllString(s, Mark)
	s = condition.ReplaceAllString(s, "${1}"+Mark+"${2}")
	s = curl.ReplaceAllString(s, "${1}"+Mark+"'")
	return matched.ReplaceAllString(s, "${1}"+Mark)
}

// named takes out the values of what has a secret name.
func named(r *regexp.Regexp, s string) string {
	return r.ReplaceAllStringFunc(s, func(m string) string {
		parts := r.FindStringSubmatch(m)
		if harmless.MatchString(parts[1]) {
			return parts[1] + parts[2] + named(r, parts[3]) // the value may be a pair, too
		}
		return parts[1] + parts[2] + Mark
	})
}

// Secret says that the value of something with this name is secret.
func Secret(name string) bool { return secretName.MatchString(name) && !harmless.MatchString(name) }

var secretName = regexp.MustCompile(`(?i)` + secretWord + `|cookie`)

// random says that a word is none of English.
func random(s string) bool {
	return strings.ContainsAny(s, "0123456789=+/_.~") || s != strings.ToLower(s)
}
