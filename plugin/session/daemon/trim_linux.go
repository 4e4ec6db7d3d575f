package daemon

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// trim releases the memory that holds the program's own code and constants. The
// start touches nearly all pages of a large binary, but the process then needs
// a fraction of them. The pages return from the page cache when they are used.
func trim() {
	exe, err := os.Executable()
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	var start, end uintptr // of the mapping that the lines describe; 0 for none
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		var lo, hi uintptr
		var mode string
		switch n, _ := fmt.Sscanf(line, "%x-%x %s", &lo, &hi, &mode); {
		case n == 3:
			start, end = 0, 0
			// The kernel marks a file that krew has deleted.
			if strings.HasSuffix(strings.TrimSuffix(line, " (deleted)"), " "+exe) && !strings.Contains(mode, "w") {
				start, end = lo, hi
			}
		case start != 0 && strings.HasPrefix(line, "Anonymous:"):
			// A page that was changed, for example by a relocation, would be
			// lost.
			if strings.Join(strings.Fields(line)[1:], " ") == "0 kB" {
				// An error has no effect: the pages stay.
				_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
			}
			start = 0
		}
	}
}
