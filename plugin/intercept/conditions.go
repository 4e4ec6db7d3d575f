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
		return c, nil
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
	return c, nil
}

func parseQuery(text string) (match.Condition, error) {
	name, value, found := strings.Cut(text, "=")
	if !found {
		return match.Condition{}, errors.New("the = is missing: write KEY=REGEXP")
	}
	return match.Condition{Part: match.Query, Name: name, Op: match.Regexp, Value: value}, nil
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
	if at := strings.Index(text, fault.Expr); at >= 0 && fault.Expr != text {
		what += fmt.Sprintf(" at character %d, %s", utf8.RuneCountInString(text[:at])+1, fault.Expr)
	}
	return fmt.Errorf(`%s: expressions have the syntax of RE2, in which \ makes a special character a plain one`, what)
}
