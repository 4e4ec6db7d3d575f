//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// podman is a program that runs bin/podman with a configuration and storage of its own. Debian's
// crun knows no machine that has both versions of control groups, so version 2 is taken out of
// the laptop's view.
const podman = `#!/bin/sh
export LD_LIBRARY_PATH=%[2]s CONTAINERS_CONF=%[1]s/containers.conf CONTAINERS_STORAGE_CONF=%[1]s/storage.conf CONTAINERS_REGISTRIES_CONF=%[1]s/registries.conf
umount /sys/fs/cgroup/unified 2>/dev/null
exec %[3]s "$@"
`

const containersConf = `[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
seccomp_profile = "%[2]s/usr/share/containers/seccomp.json"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "%[1]s/tmp"
conmon_path = ["%[1]s/conmon"]
helper_binaries_dir = ["%[2]s/usr/lib/podman"]
runtime = "crun"
[engine.runtimes]
crun = ["%[1]s/crun"]
[network]
network_config_dir = "%[1]s/networks"
`

const storageConf = `[storage]
driver = "vfs"
graphroot = "%[1]s/storage"
runroot = "%[1]s/run"
`

// Podman returns the path of a podman that has the image of an archive in bin/images, and
// nothing else. It leaves nothing outside of the laptop.
func (p *Laptop) Podman(archive string) string {
	p.lab.Helper()
	root, dir := p.lab.Bin("podman"), p.lab.TempDir()
	libraries, _ := filepath.Glob(root + "/usr/lib/*-linux-gnu")
	more, _ := filepath.Glob(root + "/lib/*-linux-gnu")
	path := strings.Join(append(libraries, more...), ":")
	program := filepath.Join(dir, "podman")
	for name, text := range map[string]string{
		"podman": fmt.Sprintf(podman, dir, path, root+"/usr/bin/podman"),
		// Podman passes no library path on.
		"conmon":          fmt.Sprintf(podman, dir, path, root+"/usr/bin/conmon"),
		"crun":            fmt.Sprintf(podman, dir, path, root+"/usr/bin/crun"),
		"containers.conf": fmt.Sprintf(containersConf, dir, root),
		"storage.conf":    fmt.Sprintf(storageConf, dir),
		"registries.conf": "",
		"policy.json":     `{"default": [{"type": "insecureAcceptAnything"}]}`,
	} {
		p.lab.Must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	p.lab.Cleanup(func() { p.run(program, "rm", "--all", "--force", "--time", "0") })
	p.Shell(program + " load --quiet --signature-policy " + dir + "/policy.json --input " + p.lab.Bin(filepath.Join("images", archive+".tar")))
	return program
}
