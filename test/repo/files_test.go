package repo

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maxLines is the length of a hand-written Go file at which it has more than
// one thing to tell.
const maxLines = 400

// walk visits the repository's files, without what is built.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || path == filepath.Join(root, "bin") || path == filepath.Join(root, "dist")):
			return filepath.SkipDir
		case !d.IsDir():
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreShort(t *testing.T) {
	walk(t, func(path string) {
		name := filepath.Base(path)
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, ".pb.go") || strings.HasPrefix(name, "zz_generated") {
			return
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d", path, n, maxLines)
		}
	})
}

func TestEveryFolderHasAReadme(t *testing.T) {
	for _, dir := range []string{".", "plugin", "manager", "agent", "chart", "krew", "netd", "test"} {
		if _, err := os.Stat(filepath.Join(root, dir, "README.md")); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// The code keeps no state in packages and leaves the process alone: main
// decides when it ends.
func TestHabits(t *testing.T) {
	walk(t, func(path string) {
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, ".pb.go") {
			return
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("\nfunc init() {")) {
			t.Errorf("%s has an init function", path)
		}
		if bytes.Contains(b, []byte("os.Exit(")) && !bytes.Contains(b, []byte("\npackage main\n")) {
			t.Errorf("%s calls os.Exit outside main", path)
		}
	})
}
