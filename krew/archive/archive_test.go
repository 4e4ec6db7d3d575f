package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	at    = time.Date(2026, 3, 1, 12, 30, 15, 999, time.FixedZone("here", 3600))
	files = []File{
		{Name: "kubectl-intercept", Data: bytes.Repeat([]byte("plugin "), 10000), Program: true},
		{Name: "LICENSE", Data: []byte("text")},
		{Name: "intercept-netd", Data: []byte("helper"), Program: true},
	}
	// entries are what each archive has, in this order.
	entries = []string{
		"LICENSE -rw-r--r-- 2026-03-01T11:30:15Z text",
		"intercept-netd -rwxr-xr-x 2026-03-01T11:30:15Z helper",
		"kubectl-intercept -rwxr-xr-x 2026-03-01T11:30:15Z " + strings.Repeat("plugin ", 10000),
	}
)

func write(t *testing.T, name string, at time.Time, files []File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, name, at, files); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSameFilesSameBytes(t *testing.T) {
	reversed := slices.Clone(files)
	slices.Reverse(reversed)
	for _, name := range []string{"a.tar.gz", "a.zip"} {
		one := write(t, name, at, files)
		if !bytes.Equal(one, write(t, "b"+name, at.UTC(), reversed)) {
			t.Errorf("%s: two archives of the same files differ", name)
		}
		if bytes.Equal(one, write(t, name, at.Add(2*time.Second), files)) {
			t.Errorf("%s: the time is not in it", name)
		}
	}
	if files[0].Name != "kubectl-intercept" {
		t.Error("the caller's files were sorted")
	}
}

func TestTar(t *testing.T) {
	zr, err := gzip.NewReader(bytes.NewReader(write(t, "a.tar.gz", at, files)))
	if err != nil {
		t.Fatal(err)
	}
	if zr.Name != "" || !zr.ModTime.IsZero() {
		t.Errorf("gzip has the name %q and the time %s", zr.Name, zr.ModTime)
	}
	var got []string
	for r := tar.NewReader(zr); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" {
			t.Errorf("%s has an owner: %+v", h.Name, h)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", h.Name, h.FileInfo().Mode(), h.ModTime.UTC().Format(time.RFC3339), data))
	}
	if !slices.Equal(got, entries) {
		t.Errorf("got %q", got)
	}
}

func TestZip(t *testing.T) {
	data := write(t, "a.zip", at, files)
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", f.Name, f.Mode(), f.Modified.UTC().Format(time.RFC3339), data))
	}
	if !slices.Equal(got, entries) {
		t.Errorf("got %q", got)
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		archive string
		files   []File
		want    string
	}{
		"format":  {"a.tar", nil, "want .tar.gz or .zip"},
		"twice":   {"a.zip", []File{{Name: "a"}, {Name: "b"}, {Name: "a"}}, "file a: given twice"},
		"folder":  {"a.zip", []File{{Name: "a/b"}}, "want a plain name"},
		"windows": {"a.zip", []File{{Name: `a\b`}}, "want a plain name"},
		"above":   {"a.tar.gz", []File{{Name: ".."}}, "want a plain name"},
		"no name": {"a.tar.gz", []File{{}}, "want a plain name"},
	} {
		if err := Write(io.Discard, tt.archive, at, tt.files); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}
