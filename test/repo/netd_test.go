package repo

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What intercept-netd, which runs as root, may link beside the standard library.
var netdMay = []string{
	module + "/netd",
	"golang.org/x/sys",
	"github.com/vishvananda/netlink", "github.com/vishvananda/netns",
	"github.com/godbus/dbus/v5",
	"golang.zx2c4.com/wireguard", "golang.zx2c4.com/wintun",
}

const (
	// On each system: declarations, without comments and blank lines. Tests are
	// not counted, and handover is not, which sessions run as well.
	netdMaxLines = 1550
	netdMaxBytes = 10 << 20 // stripped
)

// systems are those that netd is written for.
var systems = []string{"linux", "darwin", "windows"}

// linkedOn lists what a package links on a system, without the standard
// library.
func linkedOn(t *testing.T, system, of string) []pkg {
	t.Helper()
	all, err := listOn(system, "-deps", of)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(p pkg) bool {
		first, _, _ := strings.Cut(p.ImportPath, "/")
		return !strings.Contains(first, ".") || first == "vendor"
	})
}

func TestNetdLinksLittle(t *testing.T) {
	for _, system := range systems {
		linked := linkedOn(t, system, "./netd")
		if len(linked) < 3 {
			t.Errorf("%s: netd links %d packages only", system, len(linked))
		}
		for _, p := range linked {
			if !slices.ContainsFunc(netdMay, func(dir string) bool { return within(p.ImportPath, dir) }) || within(p.ImportPath, module+"/netd/stack") {
				t.Errorf("%s: netd links %s", system, p.ImportPath)
			}
		}
		for _, p := range linkedOn(t, system, "./netd/handover") {
			if !within(p.ImportPath, module+"/netd/handover") && !within(p.ImportPath, "golang.org/x/sys") {
				t.Errorf("%s: netd/handover, which sessions import, links %s", system, p.ImportPath)
			}
		}
	}
}

func TestNetdIsShort(t *testing.T) {
	for _, system := range systems {
		lines := 0
		for _, p := range linkedOn(t, system, "./netd") {
			if !within(p.ImportPath, module+"/netd") || within(p.ImportPath, module+"/netd/handover") {
				continue
			}
			for _, f := range p.GoFiles {
				b, err := os.ReadFile(filepath.Join(p.Dir, f))
				if err != nil {
					t.Fatal(err)
				}
				lines += declared(b)
			}
		}
		if t.Logf("%s: %d lines", system, lines); lines == 0 || lines > netdMaxLines {
			t.Errorf("%s: what runs as root has %d lines, more than %d or none", system, lines, netdMaxLines)
		}
	}
}

// declared counts the lines of what a file declares.
func declared(b []byte) (n int) {
	importing := false
	for line := range bytes.Lines(b) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0, bytes.HasPrefix(line, []byte("//")), bytes.HasPrefix(line, []byte("package ")), bytes.HasPrefix(line, []byte("import \"")):
		case bytes.Equal(line, []byte("import (")):
			importing = true
		case importing:
			importing = !bytes.Equal(line, []byte(")"))
		default:
			n++
		}
	}
	return n
}

func TestNetdIsSmall(t *testing.T) {
	for _, system := range systems {
		path := filepath.Join(t.TempDir(), system)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./netd")
		cmd.Dir = root
		cmd.Env = append(cmd.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", system, err, out)
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > netdMaxBytes {
			t.Errorf("%s: netd has %d bytes, more than %d", system, info.Size(), netdMaxBytes)
		}
	}
}
