package daemon

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// trim returns the memory of the program's code and constants to the kernel. The
// start of the program touches nearly all pages of a large binary, but later the
// process needs only a fraction. The kernel maps a page from the page cache again
// when the process uses it.
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
			if strings.HasSuffix(line, " "+exe) && !strings.Contains(mode, "w") {
				start, end = lo, hi
			}
		case start != 0 && strings.HasPrefix(line, "Anonymous:"):
			// A page that was written to, by a relocation say, would be lost.
			if strings.Join(strings.Fields(line)[1:], " ") == "0 kB" {
				// On an error, the pages stay.
				_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
			}
			start = 0
		}
	}
}
