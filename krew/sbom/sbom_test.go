package sbom

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden")

var release = Release{Name: "kubectl-intercept", Version: "1.2.3", Homepage: "https://example.com", License: "Apache-2.0",
	Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("here", 3600))}

func binary(path, system string, modules ...*debug.Module) Binary {
	return Binary{Path: path, SHA256: strings.Repeat("0a", 32), Info: &debug.BuildInfo{
		GoVersion: "go1.26.0 X:something", Path: "example.com/plugin", Deps: modules,
		Settings: []debug.BuildSetting{{Key: "GOOS", Value: system}, {Key: "GOARCH", Value: "arm64"}}}}
}

// Binaries name what they link, modules are listed once, a replaced module is the one that
// is really there.
func TestDocument(t *testing.T) {
	net := &debug.Module{Path: "golang.org/x/net", Version: "v0.1.0", Sum: "h1:net="}
	fork := &debug.Module{Path: "example.com/original", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.0.1+incompatible", Sum: "h1:fork="}}
	binaries := []Binary{binary("linux_arm64/plugin", "linux", net, fork), binary("darwin_arm64/plugin", "darwin", net)}
	got, err := Write(release, binaries)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "sbom.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s", got)
	}
	slices.Reverse(binaries)
	if again, err := Write(release, binaries); err != nil || !bytes.Equal(got, again) {
		t.Errorf("the order of the binaries changes the document: %v", err)
	}
	later := release
	later.Version = "1.2.4"
	if other, err := Write(later, binaries); err != nil || bytes.Contains(other, serialOf(t, got)) {
		t.Errorf("another release has the same serial number: %v", err)
	}
	if _, err := Write(release, append(binaries, binaries[0])); err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("got %v", err)
	}
}

func serialOf(t *testing.T, data []byte) []byte {
	t.Helper()
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Serial) != len("urn:uuid:")+36 {
		t.Fatalf("serial number %q", d.Serial)
	}
	return []byte(d.Serial)
}

// This test's own program says what it is.
func TestRead(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Read("self", data)
	if err != nil {
		t.Fatal(err)
	}
	if b.Setting("GOOS") != runtime.GOOS || b.Setting("none") != "" || len(b.SHA256) != 64 || b.Info.GoVersion == "" {
		t.Errorf("got %+v", b)
	}
	if _, err := Read("text", []byte("#!/bin/sh")); err == nil || !strings.Contains(err.Error(), "read the build of text: ") {
		t.Errorf("got %v", err)
	}
}
