package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestSameInputSameBytes(t *testing.T) {
	var archives [2][]byte
	for i := range archives {
		// Another folder, another time, another order: nothing of it may show.
		dir := t.TempDir()
		files := []File{
			{Source: filepath.Join(dir, "a"), Destination: "/bin/a", Mode: 0o755},
			{Source: filepath.Join(dir, "b"), Destination: "/etc/b", Mode: 0o644},
		}
		for _, f := range files {
			if err := os.WriteFile(f.Source, []byte(filepath.Base(f.Source)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(f.Source, time.Time{}, time.Unix(int64(i)*1000, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if i == 1 {
			files[0], files[1] = files[1], files[0]
		}
		archives[i] = build(t, files)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two builds of the same input differ")
	}
}

func TestArchiveHoldsEveryBlob(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(file, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(build(t, []File{{Source: file, Destination: "/a", Mode: 0o755}})))
	names := map[string]bool{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[h.Name] = true
		if !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s has a time", h.Name)
		}
	}
	// The layout's two files, and manifest, config and layer.
	if len(names) != 5 || !names["oci-layout"] || !names["index.json"] {
		t.Errorf("the archive holds %v", names)
	}
}

func TestParseFile(t *testing.T) {
	f, err := ParseFile("src:/dst/x:0755")
	if err != nil || f != (File{"src", "/dst/x", 0o755}) {
		t.Errorf("got %v, %v", f, err)
	}
	for _, bad := range []string{"", "src", "src:relative", ":/dst", "a:/b:9", "a:/b:1:2"} {
		if _, err := ParseFile(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func build(t *testing.T, files []File) []byte {
	t.Helper()
	image, err := Build(Options{
		Entrypoint: []string{"/a"}, User: "65532:65532",
		Platform: v1.Platform{OS: "linux", Architecture: "arm64"}, Files: files,
	})
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.Config.User != "65532:65532" {
		t.Errorf("config is %+v", config)
	}
	var out bytes.Buffer
	if err := Write(&out, "kubectl-intercept.dev/a:1", image); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
