package intercept

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

const (
	// autoHeader is the header of --match auto.
	autoHeader = "x-intercept-id"

	// Values of --mechanism, which other tools have.
	byConnection = "tcp"
	byRequest    = "http"
)

// MatchFlags are those that say which HTTP requests an intercept takes, as they were
// typed.
type MatchFlags struct {
	Match, Path, PathPrefix, PathRegex, Method, Query texts
	Mechanism                                         string // as other tools have it
}

// texts is the value of a flag that can be repeated. Several flags can share one.
type texts []string

func (t *texts) String() string     { return "" }
func (t *texts) Type() string       { return "stringArray" }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

func (f *MatchFlags) add(fs *pflag.FlagSet) {
	fs.Var(&f.Match, "match", "`NAME=REGEXP`: take only the HTTP requests that have this header. Also baggage:KEY=REGEXP, tracestate:KEY=REGEXP and cookie:NAME=REGEXP; auto makes a header for this intercept; all takes every HTTP request. Repeatable: all must hold")
	fs.Var(&f.Path, "match-path", "`PATH`: take only the HTTP requests of this path; of gRPC, /package.Service/Method")
	fs.Var(&f.PathPrefix, "match-path-prefix", "`PATH`: take only the HTTP requests of this path and of those below")
	fs.Var(&f.PathRegex, "match-path-regex", "`REGEXP`: take only the HTTP requests whose path matches")
	fs.Var(&f.Method, "match-method", "`METHOD`: take only the HTTP requests with this method, such as GET")
	fs.Var(&f.Query, "match-query", "`KEY=REGEXP`: take only the HTTP requests whose query has this parameter. Repeatable")
	fs.Var(&f.Match, "http-match", "")
	fs.StringVar(&f.Mechanism, "mechanism", "", "")
	for _, name := range []string{"http-match", "mechanism"} { // what people are used to say
		_ = fs.MarkHidden(name)
	}
}

// Given says that one of the flags was typed.
func (f *MatchFlags) Given() bool {
	return len(f.Match)+len(f.Path)+len(f.PathPrefix)+len(f.PathRegex)+len(f.Method)+len(f.Query) > 0
}

// Match says which HTTP requests an intercept takes: those that meet all conditions.
type Match struct {
	Conditions match.Conditions
	// ID is part of the value of a header that is made for the intercept, and that its
	// requests have as well. It is empty if there is none.
	ID string
}

// ToMatch checks the flags. It returns nil if the intercept takes every connection.
func (f *MatchFlags) ToMatch() (*Match, error) {
	switch {
	case f.Mechanism != "" && f.Mechanism != byConnection && f.Mechanism != byRequest:
		return nil, fmt.Errorf("--mechanism %q: use tcp, which takes every connection, or http, which is --match auto", f.Mechanism)
	case f.Mechanism == byConnection && f.Given():
		return nil, errors.New("--mechanism tcp takes every connection: leave it out, or the --match flags")
	case f.Mechanism == byRequest && !f.Given():
		return (&MatchFlags{Match: texts{"auto"}}).ToMatch()
	case !f.Given():
		return nil, nil
	}
	m := &Match{}
	for _, flag := range []struct {
		name   string
		values texts
		read   func(text string) (match.Condition, error)
	}{
		{"match", f.Match, m.word},
		{"match-query", f.Query, parseQuery},
		{"match-path", f.Path, parsePath(match.Exact)},
		{"match-path-prefix", f.PathPrefix, parsePath(match.Prefix)},
		{"match-path-regex", f.PathRegex, parsePath(match.Regexp)},
		{"match-method", f.Method, parseMethod},
	} {
		for _, text := range flag.values {
			c, err := flag.read(text)
			if err == nil && c.Part != 0 {
				err = check(c)
			}
			if err != nil {
				return nil, fmt.Errorf("--%s %s: %w", flag.name, cmp.Or(text, `""`), err)
			}
			if c.Part != 0 && !slices.Contains(m.Conditions, c) {
				m.Conditions = append(m.Conditions, c)
			}
		}
	}
	switch {
	case len(f.Match) > 1 && slices.Contains(f.Match, "all"):
		return nil, errors.New("--match all takes every HTTP request: leave it out, or the other --match flags")
	case len(f.Method) > 1:
		return nil, fmt.Errorf("--match-method is given %d times, and a request has one method", len(f.Method))
	}
	if err := m.Conditions.Validate(); err != nil {
		return nil, fmt.Errorf("--match: %w", err) // too many
	}
	return m, nil
}

// all says that the intercept takes all traffic, or every HTTP request.
func (m *Match) all() bool { return m == nil || len(m.Conditions) == 0 && m.ID == "" }

// word reads a value of --match. The words auto and all make no condition: Part is 0.
func (m *Match) word(text string) (match.Condition, error) {
	switch text {
	case "all":
		return match.Condition{}, nil
	case "auto":
		m.ID = string(uuid.NewUUID())
		return match.Condition{}, nil
	}
	return parseMatch(text)
}

// of is the spec of the intercept with this name. If former, which may be nil, has a
// header that was made for it, it keeps this header, as callers know it.
func (m *Match) of(name string, former *v1alpha1.Intercept) *v1alpha1.Match {
	conditions := slices.Clone(m.Conditions)
	if m.ID != "" {
		c := match.Condition{Part: match.Header, Name: autoHeader, Op: match.Exact, Value: m.ID + ":" + name}
		if former != nil && former.Spec.Match != nil {
			for _, h := range former.Spec.Match.Headers {
				if h.Name == autoHeader && strings.HasSuffix(h.Regexp, ":"+regexp.QuoteMeta(name)) {
					c.Op, c.Value = match.Regexp, h.Regexp
				}
			}
		}
		conditions = slices.Insert(conditions, 0, c)
	}
	return v1alpha1.MatchOf(conditions)
}
