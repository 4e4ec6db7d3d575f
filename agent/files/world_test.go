package files

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pkg/sftp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// world makes a container's root folder. A name that ends in "/" is a folder, a text that
// begins with "->" is a symbolic link.
func world(t testing.TB, content map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range content {
		p := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		target, link := strings.CutPrefix(text, "->")
		switch {
		case err != nil:
		case link:
			err = os.Symlink(target, p)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(p, 0o755)
		default:
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// container has what the tests look at: volumes as Kubernetes makes them, and what is outside.
func container(t testing.TB) string {
	return world(t, map[string]string{
		"etc/passwd":                  "outside",
		"etc/app.conf":                "conf",
		"outside/secret":              "outside",
		"data/a":                      "a",
		"data/dir/b":                  "b",
		"data/dir/up":                 "->../a",
		"data/link":                   "->dir/b",
		"data/folder":                 "->dir",
		"data/abs":                    "->/data/dir/b",
		"data/out":                    "->../outside/secret",
		"data/outdir":                 "->../outside",
		"data/root":                   "->/",
		"data/passwd":                 "->/etc/passwd",
		"data/magic":                  "->/proc/self/root",
		"data/cwd":                    "->/proc/self/cwd",
		"data/loop":                   "->loop",
		"data/tricky":                 "->dir/../../outside/secret",
		"data/ram/x":                  "x",
		"run/secrets/..data":          "->..2026_01",
		"run/secrets/token":           "->..data/token",
		"run/secrets/..2026_01/token": "first",
		"var/run":                     "->/run",
		"database/x":                  "outside",
	})
}

func serve(t testing.TB, root string, readOnly bool, mounts ...string) *Server {
	t.Helper()
	dir, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	own, err := ownIdentity()
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Root: dir, ReadOnly: readOnly, Identity: own, Log: slog.New(slog.DiscardHandler)}
	for _, m := range mounts {
		c.Mounts = append(c.Mounts, volume.Mount{Path: m})
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// stream returns a stream that the server serves until the test ends.
func stream(t testing.TB, s *Server) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan error)
	go func() { done <- s.Serve(there) }()
	t.Cleanup(func() {
		here.Close()
		<-done
	})
	return here
}

func client(t testing.TB, s *Server) *sftp.Client {
	t.Helper()
	conn := stream(t, s)
	c, err := sftp.NewClientPipe(conn, conn, sftp.MaxPacketUnchecked(volume.MaxPacket))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
