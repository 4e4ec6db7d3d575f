package target

import (
	"cmp"
	"slices"
	"strings"
)

// maxNear is how many names a message offers.
const maxNear = 3

// Near returns those candidates that somebody who typed word may have meant,
// nearest first.
func Near(word string, candidates []string) []string {
	type scored struct {
		name  string
		score int
	}
	var found []scored
	for _, c := range candidates {
		d := distance(word, c)
		contains := len(word) > 1 && (strings.Contains(c, word) || len(c) > 2 && strings.Contains(word, c))
		if contains || d <= max(1, min(len(word), len(c))/3) {
			found = append(found, scored{c, d})
		}
	}
	slices.SortFunc(found, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, s := range found {
		if len(names) < maxNear && !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}

// distance is the number of insertions, deletions, substitutions and swaps of
// neighbors that lead from a to b.
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
