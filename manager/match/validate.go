package match

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of an intercept's conditions, as the API has them.
const (
	// MaxEntries is how many conditions there may be of one part.
	MaxEntries = 16
	// MaxName and MaxValue are how many characters a name and a value may have.
	MaxName, MaxValue = 256, 1024
	// MaxMethod is how many characters a method may have.
	MaxMethod = 64
)

// Validate returns an error if a condition can never be followed. The error begins with
// the position of the condition as the API names it, "headers[1].regexp".
func (all Conditions) Validate() error {
	count := map[Part]int{}
	for _, c := range all {
		list := c.Part.list()
		if list == "" || !c.Op.known() {
			return fmt.Errorf("%v: this version does not know such a condition", c)
		}
		at := fmt.Sprintf("%s[%d]", list, count[c.Part])
		if c.Part == Method {
			at = list
		}
		count[c.Part]++
		switch n := count[c.Part]; {
		case c.Part == Method && n > 1:
			return errors.New("method: there can be only one")
		case n > MaxEntries:
			return fmt.Errorf("%s: there can be at most %d", list, MaxEntries)
		}
		if err := c.validate(at); err != nil {
			return err
		}
	}
	return all.contradiction()
}

// contradiction returns an error if no request meets all conditions on the path. There is
// one path, but any number of headers.
func (all Conditions) contradiction() error {
	var paths []predicate
	var words []Condition
	for _, c := range all {
		if c.Part != Path {
			continue
		}
		p := predicates(Conditions{c})
		if k := slices.IndexFunc(paths, func(q predicate) bool { return contradict(p, []predicate{q}, func(Part) bool { return true }) }); k >= 0 {
			return fmt.Errorf("paths[%d]: no request has both %v and %v; for one path or another, write one regexp with a |", len(paths), words[k], c)
		}
		paths, words = append(paths, p...), append(words, c)
	}
	return nil
}

// list is the field of the API that has the conditions of a part.
func (p Part) list() string {
	switch p {
	case Header:
		return "headers"
	case Baggage:
		return "baggage"
	case Tracestate:
		return "tracestate"
	case Cookie:
		return "cookies"
	case Query:
		return "queryParams"
	case Path:
		return "paths"
	case Method:
		return "method"
	}
	return ""
}

func (o Op) known() bool { return o == Regexp || o == Exact || o == Prefix }

// validate checks a condition at a position of the API.
func (c Condition) validate(at string) error {
	if c.Part.Named() {
		if why := c.Part.nameFault(c.Name); why != "" {
			return fmt.Errorf("%s.name: %q %s", at, c.Name, why)
		}
	}
	longest := MaxValue
	if c.Part == Method {
		longest = MaxMethod
	} else {
		at += map[Op]string{Regexp: ".regexp", Exact: ".exact", Prefix: ".prefix"}[c.Op]
	}
	switch {
	case utf8.RuneCountInString(c.Value) > longest:
		return fmt.Errorf("%s: more than %d characters", at, longest)
	case c.Op == Regexp:
		return expression(at, c.Value)
	case c.Op == Prefix && c.Part != Path:
		return fmt.Errorf("%s: only a path has a prefix", at)
	case c.Part == Path && (!strings.HasPrefix(c.Value, "/") || strings.ContainsAny(c.Value, "?# \t\r\n")):
		return fmt.Errorf("%s: %q is not a path: it begins with / and has no query", at, c.Value)
	case c.Part == Method && (c.Value == "" || !only(c.Value, letters+"_-")):
		return fmt.Errorf("%s: %q is not a method: write one as GET, since this is no expression", at, c.Value)
	}
	return nil
}

// expression checks a regular expression.
func expression(at, text string) error {
	_, err := compile(Condition{Op: Regexp, Value: text})
	var e *syntax.Error
	switch {
	case text == "":
		return fmt.Errorf("%s: empty; .* is for every value, and ^$ for an empty one", at)
	case errors.As(err, &e):
		return fmt.Errorf("%s: %q is not a regular expression in the syntax of RE2: %s: %q", at, text, e.Code, e.Expr)
	case err != nil:
		return fmt.Errorf("%s: %q cannot be used: %w", at, text, err)
	}
	return nil
}

// nameFault says why the part cannot have the name; empty if it can.
func (p Part) nameFault(name string) string {
	switch {
	case name == "":
		return "is empty"
	case utf8.RuneCountInString(name) > MaxName:
		return fmt.Sprintf("has more than %d characters", MaxName)
	case p == Query:
		return ""
	case p == Tracestate && !traceKey(name):
		return "is no key of tracestate: small letters, digits and any of _-*/@ are allowed, with a letter or digit first"
	case !token(name) && p != Tracestate:
		return "is no name of a " + map[Part]string{Header: "header", Cookie: "cookie", Baggage: "baggage member"}[p] +
			": letters, digits and any of !#$%&'*+-.^_`|~ are allowed"
	}
	return ""
}

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
	letters = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits
)

// token reports whether s is a token (RFC 9110, section 5.6.2).
func token(s string) bool { return s != "" && only(s, letters+"!#$%&'*+-.^_`|~") }

// traceKey reports whether s is a key of tracestate (W3C Trace Context, section 3.3).
func traceKey(s string) bool {
	return s != "" && only(s, lower+digits+"_-*/@") && only(s[:1], lower+digits)
}

// only reports whether all characters of s are in the set.
func only(s, set string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(set, r) })
}
