package match

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxTexts is how many texts an expression may stand for to be written out.
const maxTexts = 64

// texts returns all texts that an expression matches; nil if there are too many or endless
// ones. First and last say that the expression is at the beginning and at the end of the
// whole one.
func texts(e *syntax.Regexp, first, last bool) []string {
	switch e.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpBeginText:
		if first {
			return []string{""}
		}
	case syntax.OpEndText:
		if last {
			return []string{""}
		}
	case syntax.OpLiteral:
		// An expression takes a byte that is not UTF-8 for the replacement character.
		if e.Flags&syntax.FoldCase == 0 && !slices.Contains(e.Rune, utf8.RuneError) {
			return []string{string(e.Rune)}
		}
	case syntax.OpCharClass:
		return classTexts(e.Rune)
	case syntax.OpCapture:
		return texts(e.Sub[0], first, last)
	case syntax.OpQuest:
		return union(texts(e.Sub[0], first, last), []string{""})
	case syntax.OpAlternate:
		all := texts(e.Sub[0], first, last)
		for _, sub := range e.Sub[1:] {
			all = union(all, texts(sub, first, last))
		}
		return all
	case syntax.OpConcat:
		return concatTexts(e.Sub, first, last)
	}
	return nil
}

// classTexts are the characters of a class, which is given in ranges.
func classTexts(ranges []rune) []string {
	var all []string
	for i := 0; i+1 < len(ranges); i += 2 {
		if ranges[i+1]-ranges[i] >= maxTexts || ranges[i] <= utf8.RuneError && utf8.RuneError <= ranges[i+1] {
			return nil
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			all = append(all, string(r))
		}
	}
	return few(all)
}

// concatTexts are the texts of a sequence of expressions.
func concatTexts(sequence []*syntax.Regexp, first, last bool) []string {
	for first && len(sequence) > 0 && sequence[0].Op == syntax.OpBeginText {
		sequence = sequence[1:]
	}
	for last && len(sequence) > 0 && sequence[len(sequence)-1].Op == syntax.OpEndText {
		sequence = sequence[:len(sequence)-1]
	}
	all := []string{""}
	for i, sub := range sequence {
		var longer []string
		for _, end := range texts(sub, first && i == 0, last && i == len(sequence)-1) {
			for _, begin := range all {
				longer = append(longer, begin+end)
			}
		}
		if all = few(longer); all == nil {
			return nil
		}
	}
	return all
}

// union is the texts of both; nil if one of them is.
func union(a, b []string) []string {
	if a == nil || b == nil {
		return nil
	}
	return few(slices.Concat(a, b))
}

// few is texts in order, each once; nil if they are too many.
func few(all []string) []string {
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > maxTexts {
		return nil
	}
	return all
}

// open reports whether an expression matches every text that has its beginning, as "lou.*"
// does. A line break, which no value has but an encoded one, is not looked at.
func open(e *syntax.Regexp) bool {
	s := sequence(e)
	if len(s) == 0 {
		return false
	}
	rest := s[len(s)-1]
	for rest.Op == syntax.OpCapture {
		rest = rest.Sub[0]
	}
	if rest.Op != syntax.OpStar || rest.Sub[0].Op != syntax.OpAnyChar && rest.Sub[0].Op != syntax.OpAnyCharNotNL {
		return false
	}
	_, whole := literal(s[:len(s)-1]...)
	return whole
}

// canonical is an expression without groups that only remember, and without anchors at its
// ends. Expressions that differ in these alone are the same.
func canonical(expression string) string {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return expression
	}
	bare := &syntax.Regexp{Op: syntax.OpConcat, Sub: sequence(uncaptured(tree))}
	if again, err := syntax.Parse(bare.String(), syntax.Perl); err == nil {
		return again.String()
	}
	return expression
}

// uncaptured takes the groups out of an expression, which it changes.
func uncaptured(e *syntax.Regexp) *syntax.Regexp {
	for e.Op == syntax.OpCapture {
		e = e.Sub[0]
	}
	for i, sub := range e.Sub {
		e.Sub[i] = uncaptured(sub)
	}
	return e
}

// every reports whether each HTTP request meets the condition, as any path does the prefix
// "/". The asterisk of OPTIONS and the target of CONNECT do not count as paths here.
func (c Condition) every() bool {
	return c.Part == Path && (c.Op == Prefix && strings.Trim(c.Value, "/") == "" ||
		c.Op == Regexp && slices.Contains([]string{".*", "/.*"}, strings.TrimSuffix(strings.TrimPrefix(c.Value, "^"), "$")))
}

// Every reports whether the conditions are for every HTTP request: there are none, or those
// that each request meets.
func (all Conditions) Every() bool {
	return !slices.ContainsFunc(all, func(c Condition) bool { return !c.every() })
}
