package repo

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The walks of ARCHITECTURE.md name files of the repository and functions in them, number
// their steps, and count right.
func TestWalks(t *testing.T) {
	_, text, ok := strings.Cut(read(t, "ARCHITECTURE.md"), "\n## Two walks\n")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no walks")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	walks := strings.Split(text, "\n### ")[1:]
	if len(walks) != 2 {
		t.Errorf("ARCHITECTURE.md has %d walks", len(walks))
	}
	for _, walk := range walks {
		all, step := map[string]bool{}, 0
		parts := strings.Split(walk, "\n#### ")
		for _, part := range parts[1:] {
			files := map[string]bool{}
			for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| \[(\S+)\]\((\S+)\) (.+?) \| .+ \|$`).FindAllStringSubmatch(part, -1) {
				if step++; m[1] != strconv.Itoa(step) || m[2] != m[3] {
					t.Errorf("step %d is numbered %s, and names %s with a link to %s", step, m[1], m[2], m[3])
				}
				files[m[2]], all[m[2]] = true, true
				haveFunctions(t, m[2], m[4])
			}
			counts(t, part, len(files))
		}
		counts(t, parts[0], len(all))
	}
}

// haveFunctions checks that a file has the functions that a step names in backticks.
func haveFunctions(t *testing.T, file, names string) {
	t.Helper()
	code := read(t, file)
	named := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(names, -1)
	if len(named) == 0 {
		t.Errorf("%s: no function is named", file)
	}
	for _, m := range named {
		if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + m[1] + `[(\[]`).MatchString(code) {
			t.Errorf("%s has no function %s", file, m[1])
		}
	}
}

// counts checks the number of files that a section of a walk gives.
func counts(t *testing.T, section string, files int) {
	t.Helper()
	title, _, _ := strings.Cut(section, "\n")
	m := regexp.MustCompile(`\*\*(\d+)\s+files\*\*`).FindAllStringSubmatch(section, -1)
	if len(m) != 1 || m[0][1] != strconv.Itoa(files) {
		t.Errorf("%q has %d files, and says %q", title, files, m)
	}
}
