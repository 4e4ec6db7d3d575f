package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/copies"
)

func TestNotice(t *testing.T) {
	r := copies.Result{Files: 1, Bytes: 2048}
	for i := range 7 {
		r.Left = append(r.Left, copies.Left{Path: fmt.Sprintf("/data/%d", i), Size: 3 << 30, Why: "it does not fit into 1 GiB"})
	}
	want := `The volumes are copied to /tmp/x, since this machine cannot mount them: it has no /dev/fuse.
The copy does not follow changes in the pod, and changes of the copy do not reach the pod.
1 file, 2 KiB. Left out:
  /data/0 (3 GiB): it does not fit into 1 GiB
  /data/1 (3 GiB): it does not fit into 1 GiB
  /data/2 (3 GiB): it does not fit into 1 GiB
  /data/3 (3 GiB): it does not fit into 1 GiB
  /data/4 (3 GiB): it does not fit into 1 GiB
  and 2 more
`
	if got := notice("/tmp/x", ", since this machine cannot mount them: it has no /dev/fuse", r); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := folder(dir); err == nil || !strings.Contains(err.Error(), "is not empty: name another") {
		t.Errorf("a folder with files: %v", err)
	}
	for _, want := range []bool{true, false} { // the second time it is there
		if got, made, err := folder(filepath.Join(dir, "a", "b")); got != filepath.Join(dir, "a", "b") || made != want || err != nil {
			t.Errorf("%s %v %v", got, made, err)
		}
	}
	got, made, err := folder("")
	if err != nil || !made {
		t.Fatal(err)
	}
	if err := os.Remove(got); err != nil {
		t.Error(err)
	}
}

// A record that was half written, or whose mount is gone, is removed.
func TestRecover(t *testing.T) {
	records := filepath.Join(t.TempDir(), "mounts")
	if all, err := Recover(records); len(all) > 0 || err != nil {
		t.Errorf("without records: %v %v", all, err)
	}
	dir := filepath.Join(t.TempDir(), "made")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := newRecord(records, dir, true); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"half" + recordSuffix: `{"dir":"/x`, "other.json": ""} {
		if err := os.WriteFile(filepath.Join(records, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := Recover(records); len(all) > 0 || err != nil {
		t.Errorf("without mounts: %v %v", all, err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder that was made for a mount is there: %v", err)
	}
	if rest, err := os.ReadDir(records); len(rest) != 1 || err != nil {
		t.Errorf("left are %v, %v", rest, err)
	}
}
