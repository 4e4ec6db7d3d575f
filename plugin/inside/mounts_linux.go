package inside

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strings"
)

// SeesMounts says that a Space sees what is mounted on this machine after it was opened. It
// does where the root folder's mount is shared, as systemd makes it; containers mostly have
// it private.
func SeesMounts() bool {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	defer f.Close()
	return sharedRoot(f)
}

// sharedRoot reads /proc/PID/mountinfo, see proc_pid_mountinfo(5). The last mount on a folder
// covers the others.
func sharedRoot(mountinfo io.Reader) (shared bool) {
	for lines := bufio.NewScanner(mountinfo); lines.Scan(); {
		before, _, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if len(fields) > 5 && fields[4] == "/" {
			shared = slices.ContainsFunc(fields[6:], func(f string) bool { return strings.HasPrefix(f, "shared:") })
		}
	}
	return shared
}
