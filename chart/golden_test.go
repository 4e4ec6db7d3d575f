package chart_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

var update = flag.Bool("update", false, "write the goldens and the table of values")

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	same(t, filepath.Join("testdata", name+".golden"), got)
}

// same compares got with a file, or writes it there.
func same(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), go test ./chart -update accepts it:\n%s", path, diff)
	}
}

// TestRender compares what each profile renders: the default whole, the others
// by their difference to it. Two renders are the same bytes.
func TestRender(t *testing.T) {
	all := profiles(t)
	byDefault := text(all[0].render(t))
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			rel := p.render(t)
			if again := p.render(t); again.Manifest != rel.Manifest {
				t.Error("two renders differ")
			}
			if p.name == "default" {
				golden(t, p.name, text(rel))
			} else {
				golden(t, p.name, difference(byDefault, text(rel)))
			}
		})
	}
}

// text is what goldens are about: the manifest without the generated
// definitions, and the notes.
func text(rel *release.Release) string {
	return masked(withoutCRDs(rel.Manifest) + "---\n# NOTES\n" + rel.Info.Notes)
}

// withoutCRDs cuts the generated definitions out of a golden; TestCRDs is
// about them.
func withoutCRDs(manifest string) string {
	docs := strings.Split(manifest, "---\n")
	docs = slices.DeleteFunc(docs, func(doc string) bool {
		return strings.Contains(doc, "kind: CustomResourceDefinition")
	})
	return strings.Join(docs, "---\n")
}

var checksum = regexp.MustCompile(`(checksum/\S+: )[0-9a-f]{64}`)

// masked hides what changes with a release or with any value. TestVersion and
// TestConfigRestarts are about these.
func masked(text string) string {
	return checksum.ReplaceAllString(strings.ReplaceAll(text, version.Version, "VERSION"), "${1}CHECKSUM")
}

// around is how many lines a difference shows before and after what differs.
const around = 2

// difference shows what lines of two renders differ, as diff -u does. A hunk
// names the template that its first line is of, and no line numbers, which
// would change with every other line.
func difference(from, to string) string {
	a, b := strings.Split(from, "\n"), strings.Split(to, "\n")
	// same[i][j] is how many lines a[i:] and b[j:] have in common.
	same := make([][]int, len(a)+1)
	for i := len(a); i >= 0; i-- {
		same[i] = make([]int, len(b)+1)
		for j := len(b) - 1; j >= 0 && i < len(a); j-- {
			if a[i] == b[j] {
				same[i][j] = same[i+1][j+1] + 1
			} else {
				same[i][j] = max(same[i+1][j], same[i][j+1])
			}
		}
	}
	var lines []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, " "+a[i])
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || same[i+1][j] >= same[i][j+1]):
			lines = append(lines, "-"+a[i])
			i++
		default:
			lines = append(lines, "+"+b[j])
			j++
		}
	}
	var out strings.Builder
	source, last := "", -1 // the last line that was written
	for i, line := range lines {
		if name, ok := strings.CutPrefix(line[1:], "# Source: traffic-manager/"); ok {
			source = name
		}
		near := lines[max(0, i-around):min(len(lines), i+around+1)]
		if !slices.ContainsFunc(near, func(l string) bool { return l[0] != ' ' }) {
			continue
		}
		if last != i-1 || i == 0 {
			out.WriteString(strings.TrimSpace("@@ "+source) + "\n")
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
		last = i
	}
	return out.String()
}

func TestDifference(t *testing.T) {
	from := "# Source: traffic-manager/a\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n# Source: traffic-manager/b\nten"
	to := strings.NewReplacer("two", "zwei", "nine\n", "", "ten", "ten\nelf").Replace(from)
	want := strings.Join([]string{"@@ a", " # Source: traffic-manager/a", " one", "-two", "+zwei", " three", " four",
		"@@ a", " seven", " eight", "-nine", " # Source: traffic-manager/b", " ten", "+elf", ""}, "\n")
	if got := difference(from, to); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := difference(from, from); got != "" {
		t.Errorf("no difference is %q", got)
	}
}
