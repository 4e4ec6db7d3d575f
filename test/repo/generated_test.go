package repo

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func command(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// fresh compares what a generator wrote to a folder with what is checked in.
func fresh(t *testing.T, made, kept string, pattern string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(made, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("the generator wrote nothing that matches %s: %v", pattern, err)
	}
	for _, f := range files {
		want, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(kept, filepath.Base(f))
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run make generate", path)
		}
	}
}

func TestGeneratedCodeIsFresh(t *testing.T) {
	t.Run("crds", func(t *testing.T) {
		dir := t.TempDir()
		command(t, root, "go", "tool", "controller-gen", "crd", "paths=./manager/api/...", "output:crd:dir="+dir)
		fresh(t, dir, root+"/chart/files/crds", "*.yaml")
	})
	t.Run("deepcopy", func(t *testing.T) {
		dir := t.TempDir()
		command(t, root, "go", "tool", "controller-gen", "object", "paths=./manager/api/v1alpha1", "output:object:dir="+dir)
		fresh(t, dir, root+"/manager/api/v1alpha1", "zz_generated*.go")
	})
	for folder, file := range map[string]string{"manager/rpc": "agent.proto", "manager/rpc/process": "process.proto"} {
		t.Run(folder, func(t *testing.T) {
			dir, err := os.MkdirTemp(root+"/manager/rpc", "fresh") // within the module, for its tools
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			command(t, ".", "cp", root+"/"+folder+"/"+file, dir)
			command(t, dir, "go", "run", "../gen", file)
			fresh(t, dir, root+"/"+folder, "*.pb.go")
		})
	}
}
