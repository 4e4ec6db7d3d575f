package inside

import (
	"fmt"
	"path/filepath"
	"strings"
)

// needed are paths of the laptop that programs need as they are. No volume covers them, or a
// folder above them.
type needed struct{ paths []string }

// kernels are folders of the kernel, in which no volume is shown either.
var kernels = [...]string{"/dev", "/proc", "/sys"}

// system are those of every program.
var system = [...]string{"/bin", "/boot", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/root", "/run", "/sbin", "/srv", "/tmp",
	"/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/local/bin", "/usr/local/lib", "/usr/sbin", "/usr/share", "/var/lib", "/var/run", "/var/tmp",
	"/etc/group", "/etc/hosts", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/passwd", "/etc/resolv.conf"}

// neededBy returns what a program needs, with the paths that are the user's: the home folder,
// the program's file, the folders of PATH.
func neededBy(paths ...string) needed {
	n := needed{}
	n.add(system[:]...)
	n.add(paths...)
	return n
}

// add adds paths, as they are and without symbolic links. Those that are not absolute are
// left out.
func (n *needed) add(paths ...string) {
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			continue
		}
		n.paths = append(n.paths, filepath.Clean(p))
		if real, err := filepath.EvalSymlinks(p); err == nil && real != filepath.Clean(p) {
			n.paths = append(n.paths, real)
		}
	}
}

// refuse is an error if a volume at a path would cover something that is needed.
func (n *needed) refuse(at string) error {
	for _, k := range kernels {
		if within(at, k) {
			return fmt.Errorf("%s is this machine's kernel's", k)
		}
	}
	for _, p := range n.paths {
		if within(p, at) {
			return fmt.Errorf("it would cover %s of this machine, which the command needs", p)
		}
	}
	return nil
}

// within says that p is dir or below it. Both are clean.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}
