//go:build unix

package environment

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A link stays a link, and a pipe gets the content, as <(…) of a shell needs it.
func TestWriteThroughLinksAndPipes(t *testing.T) {
	folder := t.TempDir()
	target, link, pipe := filepath.Join(folder, "target"), filepath.Join(folder, "link"), filepath.Join(folder, "pipe")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		f, err := os.Open(pipe)
		if err != nil {
			read <- err.Error()
			return
		}
		defer f.Close()
		b, _ := io.ReadAll(f)
		read <- string(b)
	}()
	for _, path := range []string{link, pipe} {
		if _, err := Syntax("sh").WriteFile(path, variables("A", "a")); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-read; got != "A='a'\n" {
		t.Errorf("the pipe got %q", got)
	}
	if got, err := os.Readlink(link); err != nil || got != "target" {
		t.Errorf("the link leads to %q, %v", got, err)
	}
	if got, err := os.ReadFile(target); err != nil || string(got) != "A='a'\n" {
		t.Errorf("the link's target has %q, %v", got, err)
	}
}
