package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// Mounts returns the volumes of a container, sorted by path. It reads the /proc/PID/mountinfo
// of a process in the container. What the container runtime and the kubelet mount into each
// container are no volumes: /proc, /sys, /dev, /etc/hosts, the termination log and so on.
func Mounts(mountinfo io.Reader) ([]volume.Mount, error) {
	byPath := map[string]volume.Mount{}
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		// ID, parent, device, root, mount point, options, and more.
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 {
			return nil, fmt.Errorf("read mountinfo: %d fields in a line", len(fields))
		}
		root, point := unescape(fields[3]), unescape(fields[4])
		if !path.IsAbs(point) || ofRuntime(root, path.Clean(point)) {
			continue
		}
		m := volume.Mount{Path: path.Clean(point), ReadOnly: slices.Contains(strings.Split(fields[5], ","), "ro")}
		byPath[m.Path] = m
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read mountinfo: %w", err)
	}
	if len(byPath) > maxMounts {
		return nil, errors.New("read mountinfo: there are too many mounts")
	}
	var all []volume.Mount
	for _, m := range byPath {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b volume.Mount) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// maxMounts bounds the descriptors that a server holds.
const maxMounts = 1000

// ofRuntime says that a mount is not a volume. Root is the mounted folder in its own file
// system.
func ofRuntime(root, point string) bool {
	switch point {
	case "/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf":
		return true
	}
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if within(point, dir) {
			return true
		}
	}
	// The kubelet's file for the termination message, wherever the container has it.
	pod, rest, ok := strings.Cut(root, "/containers/")
	return ok && strings.Contains(pod, "/pods/") && strings.Count(rest, "/") == 1
}

// unescape replaces the octal escapes of mountinfo.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// within says that p is dir or below it. Both are clean.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}

// Without returns the mounts that are neither at a hidden path nor below one. A pod's spec
// may name a folder by /var/run, which many images have as a link to /run.
func Without(mounts []volume.Mount, hidden []string) []volume.Mount {
	return slices.DeleteFunc(slices.Clone(mounts), func(m volume.Mount) bool {
		return slices.ContainsFunc(hidden, func(dir string) bool {
			dir = path.Clean(dir)
			return within(m.Path, dir) || within(dir, "/var/run") && within(m.Path, strings.TrimPrefix(dir, "/var"))
		})
	})
}
