//go:build unix

package handover

import (
	"fmt"
	"runtime"
)

// Binary is root's copy of intercept-netd, where it is installed.
const Binary = "/usr/local/libexec/intercept-netd"

// RunDir is root's folder of sockets, journal and locks, which a reboot
// empties. Anybody may pass through it to the sockets.
func RunDir() string {
	if runtime.GOOS == "darwin" {
		return "/var/run/intercept-netd"
	}
	return "/run/intercept-netd"
}

// ServiceSocket is where the installed service listens.
func ServiceSocket() string { return RunDir() + "/netd.sock" }

// UserSocket is where a netd listens that was started for one user.
func UserSocket(uid int) string { return fmt.Sprintf("%s/u%d.sock", RunDir(), uid) }
