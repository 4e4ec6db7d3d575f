package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/pkg/sftp"
)

func TestTree(t *testing.T) {
	dir := t.TempDir()
	if err := Fill(dir, 201, 7); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Tar([]string{"cf", "-", dir}, &out); err != nil {
		t.Fatal(err)
	}
	files := 0
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg && h.Size == 7 {
			files++
		}
	}
	if files != 201 {
		t.Errorf("tar has %d files, want 201", files)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go ServeSFTP(t.Context(), l)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client, err := sftp.NewClientPipe(c, c)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	name := filepath.Join(dir, "2", "200")
	f, err := client.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	want, _ := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, want) || len(want) != 7 {
		t.Errorf("SFTP has %x, %v, and the file %x", got, err, want)
	}
	if err := Tar([]string{"xf", "-"}, io.Discard); err == nil {
		t.Error("tar xf is no error")
	}
}
