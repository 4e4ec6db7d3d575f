package intercept

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// parseMatch reads NAME=REGEXP and its forms with a prefix. What follows the first "=" is
// the expression, whatever is in it.
func parseMatch(text string) (match.Condition, error) {
	name, value, found := strings.Cut(text, "=")
	if !found {
		return match.Condition{}, errors.New("the = is missing: write NAME=REGEXP for a header, baggage:KEY=REGEXP, tracestate:KEY=REGEXP, cookie:NAME=REGEXP, auto or all")
	}
	c := match.Condition{Part: match.Header, Name: name, Op: match.Regexp, Value: value}
	prefix, rest, found := strings.Cut(name, ":")
	if !found {
		return c, nameless(name)
	}
	switch c.Name = rest; prefix {
	case "baggage":
		c.Part = match.Baggage
	case "tracestate":
		c.Part = match.Tracestate
	case "cookie":
		c.Part = match.Cookie
	case "":
		return c, fmt.Errorf("%s is no header: --match-path, --match-path-prefix, --match-path-regex and --match-method say what the request line has", name)
	default:
		return c, fmt.Errorf("%s: is none of baggage:, tracestate: and cookie:; for a header, write its name alone", prefix)
	}
	return c, nameless(rest)
}

// nameless is an error if there is no name.
func nameless(name string) error {
	if name == "" {
		return errors.New("the name before the = is missing")
	}
	return nil
}

func parseQuery(text string) (match.Condition, error) {
	name, value, found := strings.Cut(text, "=")
	if !found {
		return match.Condition{}, errors.New("the = is missing: write KEY=REGEXP")
	}
	return match.Condition{Part: match.Query, Name: name, Op: match.Regexp, Value: value}, nameless(name)
}

func parsePath(op match.Op) func(text string) (match.Condition, error) {
	return func(text string) (match.Condition, error) {
		return match.Condition{Part: match.Path, Op: op, Value: text}, nil
	}
}

// parseMethod takes the methods that everybody knows in any case, and others as they are:
// methods have case (RFC 9110, section 9.1).
func parseMethod(text string) (match.Condition, error) {
	known := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	if upper := strings.ToUpper(text); slices.Contains(known, upper) {
		text = upper
	}
	return match.Condition{Part: match.Method, Op: match.Exact, Value: text}, nil
}

// check says what is wrong with a condition, and what would be right.
func check(c match.Condition) error {
	if c.Op == match.Regexp {
		if err := checkRegexp(c.Value); err != nil {
			return err
		}
	}
	if err := (match.Conditions{c}).Validate(); err != nil {
		_, why, _ := strings.Cut(err.Error(), ": ") // the flag says which condition
		return errors.New(why)
	}
	return nil
}

// checkRegexp says where an expression is wrong, if it is.
func checkRegexp(text string) error {
	_, err := regexp.Compile(text)
	var fault *syntax.Error
	if !errors.As(err, &fault) {
		return err
	}
	what := fault.Code.String()
	if at, part := position(text, fault); at >= 0 {
		what += fmt.Sprintf(" at character %d, %s", utf8.RuneCountInString(text[:at])+1, part)
	}
	return fmt.Errorf(`%s: expressions have the syntax of RE2, in which \ makes a special character a plain one`, what)
}

// position is where an expression is wrong, and the part that is; -1 if the fault has no
// place. The fault names the part alone, which may be in the expression several times.
func position(text string, fault *syntax.Error) (at int, part string) {
	if fault.Code == syntax.ErrMissingParen || fault.Code == syntax.ErrUnexpectedParen {
		if at = lonelyParen(text); at >= 0 {
			return at, text[at : at+1]
		}
	}
	switch {
	case fault.Expr == "", fault.Code == syntax.ErrLarge, fault.Code == syntax.ErrNestingDepth: // all of it is wrong
		return -1, ""
	case fault.Expr == text:
		return 0, text
	}
	const short = 256 // so many beginnings are tried
	for end := len(fault.Expr); end <= min(len(text), short); end++ {
		var first *syntax.Error
		_, err := regexp.Compile(text[:end])
		if errors.As(err, &first) && *first == *fault && strings.HasSuffix(text[:end], fault.Expr) {
			return end - len(fault.Expr), fault.Expr
		}
	}
	return strings.Index(text, fault.Expr), fault.Expr
}

// lonelyParen is where the parenthesis is that has no other; -1 if all have.
func lonelyParen(text string) int {
	var open []int
	class := -1 // where a character class begins
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && strings.HasPrefix(text[i:], `\Q`):
			end := strings.Index(text[i:], `\E`)
			if end < 0 {
				i = len(text)
				break
			}
			i += end + 1
		case c == '\\':
			i++
		case class >= 0:
			if strings.HasPrefix(text[i:], "[:") {
				if end := strings.Index(text[i:], ":]"); end > 0 {
					i += end + 1
				}
			} else if c == ']' && i > class+1 {
				class = -1
			}
		case c == '[':
			if class = i; strings.HasPrefix(text[i+1:], "^") {
				i++
				class = i
			}
		case c == '(':
			open = append(open, i)
		case c == ')' && len(open) == 0:
			return i
		case c == ')':
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return open[len(open)-1]
	}
	return -1
}
