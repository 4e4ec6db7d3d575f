package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/krew/standin"
)

// standIns are files in place of a release's programs. They differ by platform and by name.
func standIns(t *testing.T) string {
	t.Helper()
	binaries := t.TempDir()
	for _, platform := range platforms() {
		system, arch, _ := strings.Cut(platform, "_")
		names := []string{"kubectl-intercept", "intercept-netd"}
		switch system {
		case "windows":
			names = []string{"kubectl-intercept.exe", "intercept-netd.exe"}
		case "linux":
			names = append(names, "traffic-manager", "traffic-agent")
		}
		for _, name := range names {
			write(t, filepath.Join(binaries, platform, name), append(standin.Program(system, arch), name...))
		}
	}
	return binaries
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// replace makes a file a copy of another.
func replace(t *testing.T, file, with string) {
	t.Helper()
	data, err := os.ReadFile(with)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, data)
}

func options(t *testing.T, binaries string) *Options {
	return &Options{Tag: "v1.2.3", Binaries: binaries, Output: filepath.Join(t.TempDir(), "dist"), Source: "../..", Registry: "example.dev",
		Commit: "c0ffee", Time: time.Unix(1772366400, 0), Out: io.Discard}
}

// contents are the files of a folder.
func contents(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if all[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// A release that is made twice, from two folders, is the same to the byte, and has
// everything that it should have.
func TestRelease(t *testing.T) {
	one, two := options(t, standIns(t)), options(t, standIns(t))
	for _, o := range []*Options{one, two} {
		write(t, filepath.Join(o.Output, "traffic-manager-1.2.3.tgz"), []byte("chart"))
		if err := o.Run(); err != nil {
			t.Fatal(err)
		}
	}
	files, again := contents(t, one.Output), contents(t, two.Output)
	var names []string
	for name, data := range files {
		names = append(names, name)
		if !bytes.Equal(data, again[name]) {
			t.Errorf("%s differs in two releases of the same source", name)
		}
	}
	slices.Sort(names)
	if want := []string{"SHA256SUMS", "intercept.yaml",
		"kubectl-intercept_darwin_amd64.tar.gz", "kubectl-intercept_darwin_arm64.tar.gz", "kubectl-intercept_linux_amd64.tar.gz",
		"kubectl-intercept_linux_arm64.tar.gz", "kubectl-intercept_windows_amd64.zip", "kubectl-intercept_windows_arm64.zip",
		"sbom.cdx.json", "traffic-agent.oci.tar", "traffic-manager-1.2.3.tgz", "traffic-manager.oci.tar"}; !slices.Equal(names, want) {
		t.Errorf("the release has %q, want %q", names, want)
	}
	sums(t, files)
	for name, data := range files {
		switch {
		case strings.HasSuffix(name, ".tar.gz"):
			hold(t, name, tarNames(t, data), "LICENSE", "intercept-netd", "kubectl-intercept")
		case strings.HasSuffix(name, ".zip"):
			hold(t, name, zipNames(t, data), "LICENSE", "intercept-netd.exe", "kubectl-intercept.exe")
		}
	}
	for _, want := range []string{`"linux_arm64/traffic-agent"`, `"windows_amd64/intercept-netd.exe"`, `"pkg:golang/stdlib@v1.`, `"2026-03-01T12:00:00Z"`} {
		if !bytes.Contains(files["sbom.cdx.json"], []byte(want)) {
			t.Errorf("the SBOM has no %s", want)
		}
	}
	refused(t, one.Binaries)
}

// sums checks that SHA256SUMS has every other file, and that krew's manifest has the same.
func sums(t *testing.T, files map[string][]byte) {
	t.Helper()
	manifest := string(files["intercept.yaml"])
	for name, data := range files {
		if name == "SHA256SUMS" {
			continue
		}
		sum := fmt.Sprintf("%x", sha256.Sum256(data))
		if !bytes.Contains(files["SHA256SUMS"], []byte(sum+"  "+name+"\n")) {
			t.Errorf("SHA256SUMS has not %s  %s", sum, name)
		}
		if strings.HasPrefix(name, "kubectl-intercept_") && !strings.Contains(manifest, "/v1.2.3/"+name+"\n    sha256: "+sum+"\n") {
			t.Errorf("the manifest has not the sum of %s:\n%s", name, manifest)
		}
	}
}

func hold(t *testing.T, archive string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", archive, got, want)
	}
}

func tarNames(t *testing.T, data []byte) (names []string) {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(zr); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func zipNames(t *testing.T, data []byte) (names []string) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		names = append(names, f.Name)
	}
	return names
}

// refused checks that what would not run on its platform, or not be the same elsewhere, is in
// no release.
func refused(t *testing.T, binaries string) {
	t.Helper()
	for name, tt := range map[string]struct {
		spoil func(o *Options)
		want  string
	}{
		"version": {func(o *Options) { o.Tag = "1.2.3" }, `version "1.2.3": want one as v1.2.3`},
		"platform": {func(o *Options) {
			replace(t, file(o, "darwin_arm64", "intercept-netd"), file(o, "linux_arm64", "intercept-netd"))
		}, "darwin_arm64/intercept-netd was built with GOOS=linux, want darwin"},
		"no binary": {func(o *Options) { replace(t, file(o, "darwin_amd64", "intercept-netd"), "../../LICENSE") },
			"read the build of darwin_amd64/intercept-netd: "},
		"license": {func(o *Options) { o.Source = t.TempDir() }, "LICENSE"},
	} {
		o := options(t, t.TempDir())
		if err := os.CopyFS(o.Binaries, os.DirFS(binaries)); err != nil {
			t.Fatal(err)
		}
		tt.spoil(o)
		if err := o.Run(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		if _, err := os.Stat(filepath.Join(o.Output, "SHA256SUMS")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: there are checksums: %v", name, err)
		}
	}
	if err := run([]string{"-version", "v1.2.3"}, io.Discard); err == nil {
		t.Error("a release without binaries is made")
	}
}

func file(o *Options, platform, name string) string {
	return filepath.Join(o.Binaries, platform, name)
}
