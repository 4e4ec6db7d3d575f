package redact

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Values are secrets that are known, which are taken out wherever they stand.
type Values struct{ all []string }

// Add adds secrets. Short ones are words of other texts as well, and are left out.
func (v *Values) Add(secrets ...string) {
	for _, s := range secrets {
		if len(s) >= 6 && !slices.Contains(v.all, s) {
			v.all = append(v.all, s)
		}
	}
}

// Replace takes them out of a text.
func (v *Values) Replace(text string) string {
	slices.SortFunc(v.all, longestFirst)
	pairs := make([]string, 0, 2*len(v.all))
	for _, s := range v.all {
		pairs = append(pairs, s, Mark)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func longestFirst(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) }

// Names replaces names by made-up ones: each by the same one everywhere. The zero value is
// ready for use.
type Names struct {
	made     map[string]string // by the name in lower case
	count    map[string]int
	compiled *regexp.Regexp
}

// public are names that every cluster has.
var public = []string{"default", "kube-system", "kube-public", "kube-node-lease", "intercept-system", "localhost", "127.0.0.1"}

// Add makes up a name of a kind, such as "pod-3", for a name and others of the same thing.
// Public names stay.
func (n *Names) Add(kind, name string, others ...string) {
	if len(name) < 2 || slices.Contains(public, name) {
		return
	}
	if n.made == nil {
		n.made, n.count = map[string]string{}, map[string]int{}
	}
	made := n.made[strings.ToLower(name)]
	if made == "" {
		n.count[kind]++
		made = fmt.Sprintf("%s-%d", kind, n.count[kind])
	}
	for _, s := range append(others, name) {
		if key := strings.ToLower(s); len(s) > 1 && n.made[key] == "" && !slices.Contains(public, s) {
			n.made[key] = made
		}
	}
	n.compiled = nil
}

// Replace replaces all names in a text at once, so that a made-up name is none to be
// replaced. A name is found where no letter or digit continues it.
func (n *Names) Replace(text string) string {
	if len(n.made) == 0 {
		return text
	}
	if n.compiled == nil {
		var all []string
		for name := range n.made {
			all = append(all, name)
		}
		slices.SortFunc(all, longestFirst)
		for i, name := range all {
			all[i] = bounded(name)
		}
		n.compiled = regexp.MustCompile(`(?i)` + strings.Join(all, "|"))
	}
	return n.compiled.ReplaceAllStringFunc(text, func(found string) string { return n.made[strings.ToLower(found)] })
}

// bounded is a pattern for a name that nothing continues.
func bounded(name string) string {
	p := regexp.QuoteMeta(name)
	if word(name[0]) {
		p = `\b` + p
	}
	if word(name[len(name)-1]) {
		p += `\b`
	}
	return p
}

func word(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}
