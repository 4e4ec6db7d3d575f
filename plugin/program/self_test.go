package program

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSelf(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Self(); got != own || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	gone := filepath.Join(t.TempDir(), "store", "intercept", "v0.1.0", "kubectl-intercept")
	if got, err := again(gone, "linux"); got != "/proc/self/exe" || err != nil {
		t.Errorf("on Linux: got %q, %v", got, err)
	}
	for _, system := range []string{"darwin", "windows"} {
		if got, err := again(gone, system); got != "" || err == nil || !strings.Contains(err.Error(), "type the command again") {
			t.Errorf("on %s: got %q, %v", system, got, err)
		}
	}
}
