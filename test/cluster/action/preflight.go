package action

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
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
