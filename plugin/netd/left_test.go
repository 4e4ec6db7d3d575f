package netd

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if left(path) {
		t.Error("there is no file")
	}
	for text, want := range map[string]bool{
		"":                       false,
		"# kubectl":              false,
		"nameserver 192.0.2.1\n": false,
		"# kubectl-intercept 1234\nnameserver 198.18.0.2\n": true,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := left(path); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
