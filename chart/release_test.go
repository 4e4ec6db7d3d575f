package chart

import (
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

// A release that is linked with a version of its own has the chart of that version. Nothing
// else of the chart differs.
func TestReleaseHasItsVersion(t *testing.T) {
	const other = "7.8.9-rc.1"
	source := version.Version // that of the source, since no test is linked as a release
	r := release{files, other}
	err := fs.WalkDir(r, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		before, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		want := string(before)
		if path == identified {
			want = strings.ReplaceAll(want, "ersion: "+source+"\n", "ersion: "+other+"\n")
			if strings.Count(want, other) != 2 {
				t.Fatalf("Chart.yaml has no version %s:\n%s", source, want)
			}
		}
		read, err := fs.ReadFile(r, path)
		if err != nil {
			return err
		}
		f, err := r.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		opened, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		if string(read) != want || string(opened) != want {
			t.Errorf("%s differs:\n%s\n%s", path, read, opened)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The file with the version is a file like any other.
func TestReleaseIsAFileSystem(t *testing.T) {
	chart := fstest.MapFS{identified: {Data: []byte("name: a\nversion: 1.0.0\nappVersion: 1.0.0\n")}}
	if err := fstest.TestFS(release{chart, "1.0.0"}, identified); err != nil {
		t.Error(err)
	}
	if _, err := (release{chart, "1.0.0"}).Open("none"); err == nil {
		t.Error("a file that does not exist is opened")
	}
}
