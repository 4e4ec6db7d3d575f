package action

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// Preflight says everything that is missing, with the fix.
func Preflight() error {
	if os.Geteuid() != 0 {
		return errors.New("the cluster needs root, to make network namespaces and containers: run it with sudo")
	}
	var missing []error
	for _, p := range []struct{ file, pkg string }{
		{"containerd", "containerd"},
		{"ctr", "containerd"},
		{"runc", "runc"},
		{"/usr/lib/cni/ptp", "containernetworking-plugins"},
		{"nft", "nftables"},
		{"iptables", "iptables"},
		{"conntrack", "conntrack"},
	} {
		if _, err := exec.LookPath(p.file); err != nil {
			missing = append(missing, fmt.Errorf("%s is not installed (Debian package %s): run `make deps`", p.file, p.pkg))
		}
	}
	return errors.Join(missing...)
}

// watchersEach is about what the programs of one node want of inotify.
const watchersEach = 16

// watchers says whether the kernel has n inotify instances left for root.
// Without, kubelet and containerd wait for changes that they never hear of.
func watchers(n int) error {
	for range n {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if errors.Is(err, unix.EMFILE) {
			return fmt.Errorf("root has fewer than %d inotify instances left: end other clusters, or run `sysctl fs.inotify.max_user_instances=1024`", n)
		}
		if err != nil {
			return fmt.Errorf("make an inotify instance: %w", err)
		}
		defer unix.Close(fd)
	}
	return nil
}
