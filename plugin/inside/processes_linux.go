package inside

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long processes may take to end after SIGTERM, and again after SIGKILL:
// the kernel may hold a killed process for a while.
const grace = 3 * time.Second

// reap waits until the child ends, and returns its status. It also reaps the orphans
// that end before the child.
func reap(pid int) (unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case got == pid:
			return status, nil
		}
	}
}

// endAll ends the processes that the program left behind, because their network ends
// now.
func endAll() {
	own, err := namespace("self")
	if err != nil {
		return
	}
	signal := unix.SIGTERM
	for deadline := time.Now().Add(grace); end(own, signal); {
		if time.Now().After(deadline) {
			signal = unix.SIGKILL
		}
		if time.Now().After(deadline.Add(grace)) {
			return
		}
		for {
			if got, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || got <= 0 {
				break
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// namespace returns the name of the network namespace of a process.
func namespace(process string) (string, error) {
	return os.Readlink(filepath.Join("/proc", process, "ns/net"))
}

// end signals every other process in a network namespace. It returns false if there
// is none.
func end(ns string, signal unix.Signal) bool {
	found := false
	list, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range list {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if its, err := namespace(filepath.Base(path)); err == nil && its == ns {
			found = true
			_ = unix.Kill(pid, signal) // it may have ended
		}
	}
	return found
}
