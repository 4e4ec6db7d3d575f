package v1alpha1

import (
	"regexp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// Conditions returns the conditions in the order of their fields; none, if m is nil.
func (m *Match) Conditions() match.Conditions {
	if m == nil {
		return nil
	}
	var all match.Conditions
	for _, list := range []struct {
		part   match.Part
		values []MatchValue
	}{{match.Header, m.Headers}, {match.Baggage, m.Baggage}, {match.Tracestate, m.Tracestate}, {match.Cookie, m.Cookies}, {match.Query, m.QueryParams}} {
		for _, v := range list.values {
			all = append(all, match.Condition{Part: list.part, Name: v.Name, Op: match.Regexp, Value: v.Regexp})
		}
	}
	for _, p := range m.Paths {
		switch {
		case p.Exact != "":
			all = append(all, match.Condition{Part: match.Path, Op: match.Exact, Value: p.Exact})
		case p.Prefix != "":
			all = append(all, match.Condition{Part: match.Path, Op: match.Prefix, Value: p.Prefix})
		default:
			all = append(all, match.Condition{Part: match.Path, Op: match.Regexp, Value: p.Regexp})
		}
	}
	if m.Method != "" {
		all = append(all, match.Condition{Part: match.Method, Op: match.Exact, Value: m.Method})
	}
	return all
}

// MatchOf returns the Match with these conditions. It keeps their order within each
// field.
func MatchOf(conditions match.Conditions) *Match {
	m := &Match{}
	for _, c := range conditions {
		switch c.Part {
		case match.Header:
			m.Headers = append(m.Headers, valueOf(c))
		case match.Baggage:
			m.Baggage = append(m.Baggage, valueOf(c))
		case match.Tracestate:
			m.Tracestate = append(m.Tracestate, valueOf(c))
		case match.Cookie:
			m.Cookies = append(m.Cookies, valueOf(c))
		case match.Query:
			m.QueryParams = append(m.QueryParams, valueOf(c))
		case match.Path:
			m.Paths = append(m.Paths, pathOf(c))
		case match.Method:
			m.Method = c.Value
		}
	}
	return m
}

func valueOf(c match.Condition) MatchValue {
	switch {
	case c.Op == match.Exact && c.Value == "":
		return MatchValue{Name: c.Name, Regexp: "^$"} // the API wants an expression
	case c.Op == match.Exact:
		return MatchValue{Name: c.Name, Regexp: regexp.QuoteMeta(c.Value)}
	}
	return MatchValue{Name: c.Name, Regexp: c.Value}
}

func pathOf(c match.Condition) MatchPath {
	switch c.Op {
	case match.Exact:
		return MatchPath{Exact: c.Value}
	case match.Prefix:
		return MatchPath{Prefix: c.Value}
	}
	return MatchPath{Regexp: c.Value}
}
