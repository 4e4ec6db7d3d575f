package standin

import (
	"bytes"
	"debug/buildinfo"
	"runtime"
	"testing"
)

// Go's own reader finds what a stand-in says of itself.
func TestProgram(t *testing.T) {
	info, err := buildinfo.Read(bytes.NewReader(Program("darwin", "arm64")))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		got[s.Key] = s.Value
	}
	for key, want := range map[string]string{"GOOS": "darwin", "GOARCH": "arm64", "CGO_ENABLED": "0", "-trimpath": "true"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if info.GoVersion != runtime.Version() || info.Path != "example.com/standin" {
		t.Errorf("got %+v", info)
	}
}
