package repo

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What a document links to is in the repository.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	found := 0
	walk(t, func(path string) {
		if filepath.Ext(path) != ".md" {
			return
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
	})
	if found == 0 {
		t.Error("no document has a link: the pattern is wrong")
	}
}

// The README leads to the other documents.
func TestReadmeNamesTheDocuments(t *testing.T) {
	readme := read(t, "README.md")
	for _, name := range []string{"ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"} {
		if !strings.Contains(readme, "]("+name+")") {
			t.Errorf("README.md has no link to %s", name)
		}
	}
}

// An end-to-end test that a document names exists.
func TestNamedTestsExist(t *testing.T) {
	files, err := filepath.Glob(root + "/test/e2e/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(b)
	}
	for _, name := range append(readmes, "Makefile") {
		for _, m := range regexp.MustCompile(`TEST='?(Test\w+)`).FindAllStringSubmatch(read(t, name), -1) {
			if !strings.Contains(code.String(), "\nfunc "+m[1]) {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
	}
}

// The glossary explains a word of our own once.
func TestGlossary(t *testing.T) {
	_, glossary, ok := strings.Cut(read(t, "ARCHITECTURE.md"), "\n## Glossary\n")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no glossary")
	}
	var words []string
	for _, m := range regexp.MustCompile(`(?m)^\| \*\*(.+?)\*\* \| (.+) \|$`).FindAllStringSubmatch(glossary, -1) {
		for word := range strings.SplitSeq(m[1], ", ") {
			if slices.Contains(words, word) {
				t.Errorf("the glossary explains %q twice", word)
			}
			words = append(words, word)
		}
	}
	for _, word := range []string{"agent", "capture", "carrier", "flow", "line", "relay", "route", "session"} {
		if !slices.Contains(words, word) {
			t.Errorf("the glossary does not explain %q", word)
		}
	}
}

// The workflows on GitHub and .ci/run test the same.
func TestWorkflowsSayWhatCISays(t *testing.T) {
	if !strings.Contains(read(t, ".ci/run"), "make test\n") {
		t.Error(".ci/run does not run make test")
	}
	makefile, workflow := read(t, "Makefile"), read(t, ".github/workflows/test.yaml")
	m := regexp.MustCompile(`(?m)^test: (.+?) ##`).FindStringSubmatch(makefile)
	if m == nil {
		t.Fatal("the Makefile has no target test")
	}
	run := []string{}
	for _, r := range regexp.MustCompile(`(?m)run: make ([a-z0-9-]+)$`).FindAllStringSubmatch(workflow, -1) {
		if run = append(run, r[1]); !strings.Contains(makefile, "\n"+r[1]+":") {
			t.Errorf("the workflow runs make %s, which does not exist", r[1])
		}
	}
	if v := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod")); !strings.Contains(workflow, "image: golang:"+v[1]+"-") {
		t.Errorf("go.mod wants Go %s, and the workflow's image has another", v[1])
	}
	for _, part := range append(strings.Fields(m[1]), "unit-client") {
		if !slices.Contains(run, part) {
			t.Errorf("the workflow does not run make %s", part)
		}
	}
}

// A tag makes what `make release` makes, for the platforms that krew's manifest names.
func TestReleases(t *testing.T) {
	makefile, workflow, manifest := read(t, "Makefile"), read(t, ".github/workflows/release.yaml"), read(t, ".krew.yaml")
	var run []string
	for _, m := range regexp.MustCompile(`\bmake ([a-z-]+)`).FindAllStringSubmatch(workflow, -1) {
		if run = append(run, m[1]); !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("the workflow runs make %s, which does not exist", m[1])
		}
	}
	if !slices.Contains(run, "release") || !strings.Contains(workflow, `push: {tags: ["v*"]}`) {
		t.Errorf("the workflow runs make %v", run)
	}
	m := regexp.MustCompile(`(?m)^PLATFORMS := (.+)$`).FindStringSubmatch(makefile)
	if m == nil {
		t.Fatal("the Makefile names no platforms")
	}
	platforms := strings.Fields(m[1])
	for _, p := range platforms {
		if !strings.Contains(manifest, "/kubectl-intercept_"+p+".") {
			t.Errorf(".krew.yaml has no archive for %s", p)
		}
	}
	if n := strings.Count(manifest, "addURIAndSha"); n != len(platforms) {
		t.Errorf(".krew.yaml names %d archives, and there are %d platforms", n, len(platforms))
	}
}

// Folders and files that a document names in backticks exist, from the repository's root
// or from the document's folder. What make builds does not.
func TestNamedPathsExist(t *testing.T) {
	path := regexp.MustCompile("`([a-z][\\w.-]*(?:/[\\w.-]+)*(?:/|\\.(?:go|md|proto)))`")
	found := 0
	walk(t, func(document string) {
		if filepath.Ext(document) != ".md" {
			return
		}
		b, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range path.FindAllStringSubmatch(string(b), -1) {
			if strings.HasPrefix(m[1], "bin/") || strings.HasPrefix(m[1], "dist/") {
				continue
			}
			found++
			_, fromRoot := os.Stat(filepath.Join(root, m[1]))
			_, fromFolder := os.Stat(filepath.Join(filepath.Dir(document), m[1]))
			if fromRoot != nil && fromFolder != nil {
				t.Errorf("%s names %s, which does not exist", document, m[1])
			}
		}
	})
	if found == 0 {
		t.Error("no document names a path: the pattern is wrong")
	}
}
