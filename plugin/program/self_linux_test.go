package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A program whose file is gone starts itself again.
func TestSelfIsGone(t *testing.T) {
	const again = "TEST_SELF_AGAIN"
	switch os.Getenv(again) {
	case "delete":
		own, err := os.Executable()
		if err == nil {
			err = os.Remove(own)
		}
		if err != nil {
			t.Fatal(err)
		}
		path, err := Self()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "-test.run=^TestSelfIsGone$", "-test.v")
		cmd.Env = append(os.Environ(), again+"=say")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	case "say":
		t.Log("started again")
		return
	}
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(copied, own, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, "-test.run=^TestSelfIsGone$", "-test.v")
	cmd.Env = append(os.Environ(), again+"=delete")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "started again") {
		t.Errorf("%v\n%s", err, out)
	}
}
