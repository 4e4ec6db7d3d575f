package inside

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const tunDevice = "/dev/net/tun"

// otherwise ends an error message with the commands that need no namespaces.
const otherwise = "; or use kubectl intercept connect, or connect --proxy, which needs nothing of this"

// canUnshare says whether this process may make network and mount namespaces without a
// user namespace.
func canUnshare() bool {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	const want = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	return os.Geteuid() == 0 && unix.Capget(&h, &d[0]) == nil && d[0].Effective&want == want
}

// checkTUN returns an error, with what to do, if this process may not open
// /dev/net/tun.
func checkTUN() error {
	return tunError(unix.Access(tunDevice, unix.R_OK|unix.W_OK))
}

func tunError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("make a network for the program: you may not open %s, which udev makes for all users: sudo chmod 0666 %s%s", tunDevice, tunDevice, otherwise)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("make a network for the program: there is no %s: sudo modprobe tun, or start the container with --device %s%s", tunDevice, tunDevice, otherwise)
	}
	return fmt.Errorf("make a network for the program: open %s: %w", tunDevice, err)
}

// forbidden adds to an error why the kernel refuses namespaces, and what to change.
func forbidden(err error) error {
	return explain(err, func(path string) string {
		b, _ := os.ReadFile(path)
		return string(b)
	})
}

// explain returns an error that names the setting behind err. Read returns the text
// of a file, or "" if it cannot be read.
func explain(err error, read func(path string) string) error {
	is := func(sysctl, value string) bool {
		return strings.TrimSpace(read("/proc/sys/"+strings.ReplaceAll(sysctl, ".", "/"))) == value
	}
	say := func(format string, args ...any) error {
		return fmt.Errorf("make a network for the program: "+format+otherwise, args...)
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		for _, kind := range []string{"user", "net", "mnt"} {
			if name := "user.max_" + kind + "_namespaces"; is(name, "0") {
				return say("%s is 0, so that nobody may have such namespaces: sudo sysctl -w %s=1000", name, name)
			}
		}
		return say("there are as many namespaces as may be: raise user.max_user_namespaces and user.max_net_namespaces")
	case errors.Is(err, unix.EINVAL):
		return say("this kernel has no user namespaces (CONFIG_USER_NS)")
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES):
		return fmt.Errorf("make a network for the program: %w", err)
	case is("kernel.unprivileged_userns_clone", "0"):
		return say("kernel.unprivileged_userns_clone is 0: sudo sysctl -w kernel.unprivileged_userns_clone=1")
	case is("kernel.apparmor_restrict_unprivileged_userns", "1"):
		return say("AppArmor forbids it (kernel.apparmor_restrict_unprivileged_userns is 1): " +
			"sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or a profile with \"userns,\" for this program")
	case filtered(read("/proc/self/status")):
		return say("a seccomp profile forbids user namespaces, as containers have one: start this one with --security-opt seccomp=unconfined")
	case is("user.max_user_namespaces", "0"):
		return say("user.max_user_namespaces is 0: sudo sysctl -w user.max_user_namespaces=1000")
	}
	return say("this machine does not let you have user namespaces (%v)", err)
}

// filtered says whether /proc/PID/status (proc_pid_status(5)) shows a seccomp filter.
func filtered(status string) bool {
	for line := range strings.Lines(status) {
		if v, ok := strings.CutPrefix(line, "Seccomp:"); ok {
			return strings.TrimSpace(v) == "2"
		}
	}
	return false
}
