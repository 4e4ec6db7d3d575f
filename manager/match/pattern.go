package match

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// pattern is a compiled condition without its subject.
type pattern struct {
	op Op
	// text is the whole text for Exact, the beginning in whole elements for Prefix, and
	// what every match begins with for Regexp.
	text string
	re   *regexp.Regexp // only for Regexp
	// texts are all that meet a Regexp, if they are few; else nil.
	texts []string
	// open says that a Regexp is met by all that begins with text.
	open bool
}

// compile compiles a condition. An expression that stands for one text alone becomes
// Exact.
func compile(c Condition) (pattern, error) {
	switch c.Op {
	case Exact:
		return pattern{op: Exact, text: c.Value}, nil
	case Prefix:
		return pattern{op: Prefix, text: strings.TrimRight(c.Value, "/")}, nil
	}
	tree, err := syntax.Parse(c.Value, syntax.Perl)
	if err != nil {
		return pattern{}, err
	}
	simple := tree.Simplify()
	if program, err := syntax.Compile(simple); err != nil || len(program.Inst) > maxProgram {
		return pattern{}, errors.New("it repeats too much")
	}
	all := texts(simple, true, true)
	if len(all) == 1 {
		return pattern{op: Exact, text: all[0]}, nil
	}
	// The text itself cannot be put into parentheses if it has \Q without \E.
	re, err := regexp.Compile(`\A(?:` + tree.String() + `)\z`)
	text, _ := literal(sequence(simple)...)
	return pattern{op: Regexp, text: text, re: re, texts: all, open: open(simple)}, err
}

// maxProgram is how many instructions an expression may have. A value of n bytes costs n
// times as many steps.
const maxProgram = 4096

// sequence is an expression in its parts, without anchors at its ends.
func sequence(e *syntax.Regexp) []*syntax.Regexp {
	for e.Op == syntax.OpCapture {
		e = e.Sub[0]
	}
	sub := []*syntax.Regexp{e}
	if e.Op == syntax.OpConcat {
		sub = e.Sub
	}
	for len(sub) > 0 && sub[0].Op == syntax.OpBeginText {
		sub = sub[1:]
	}
	for len(sub) > 0 && sub[len(sub)-1].Op == syntax.OpEndText {
		sub = sub[:len(sub)-1]
	}
	return sub
}

// literal returns the text that every match of a sequence of expressions begins with, and
// whether that is the whole match.
func literal(sequence ...*syntax.Regexp) (text string, whole bool) {
	for _, e := range sequence {
		var more string
		switch e.Op {
		case syntax.OpEmptyMatch:
			whole = true
		case syntax.OpLiteral:
			more, whole = string(e.Rune), e.Flags&syntax.FoldCase == 0
			// An expression takes a byte that is not UTF-8 for the replacement character.
			if !whole || strings.ContainsRune(more, utf8.RuneError) {
				return text, false
			}
		case syntax.OpCapture, syntax.OpConcat:
			more, whole = literal(e.Sub...)
		default:
			return text, false
		}
		if text += more; !whole {
			return text, false
		}
	}
	return text, true
}

// meets reports whether a value meets the pattern.
func (p *pattern) meets(value []byte) bool {
	switch p.op {
	case Exact:
		return string(value) == p.text
	case Prefix:
		n := len(p.text)
		return p.begins(value) && (len(value) == n && n > 0 || len(value) > n && value[n] == '/')
	}
	return p.begins(value) && p.re.Match(value)
}

// begins reports whether a value begins like every value that meets the pattern.
func (p *pattern) begins(value []byte) bool {
	return len(value) >= len(p.text) && string(value[:len(p.text)]) == p.text
}
