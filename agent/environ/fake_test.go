package environ

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fake is a folder that looks like a procfs.
type fake struct {
	t *testing.T
	Proc
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, Proc: Proc(t.TempDir())}
	f.write("version", "Linux")
	return f
}

// process adds a process that began at a time, in a cgroup.
func (f *fake) process(pid int, began uint64, cgroup string) *fake {
	f.t.Helper()
	f.put(pid, "stat", statLine(pid, "app) (x", 'S', began, area{1000, 1000 + 1<<20}))
	f.put(pid, "status", "Name:\tapp\nUmask:\t0022\nUid:\t1\t2\t3\t1000\nGid:\t4\t5\t6\t1001\nGroups:\t7 8 \n")
	f.put(pid, "comm", "app\n")
	f.put(pid, "cgroup", cgroup)
	f.put(pid, "environ", "A=a\x00")
	f.put(pid, "cmdline", "app\x00")
	if err := os.Symlink("/srv", f.file(pid, "cwd")); err != nil {
		f.t.Fatal(err)
	}
	return f
}

func (f *fake) put(pid int, name, text string) { f.write(filepath.Join(strconv.Itoa(pid), name), text) }

func (f *fake) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(string(f.Proc), name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func statLine(pid int, name string, state byte, began uint64, args area) string {
	fields := make([]string, 50)
	for i := range fields {
		fields[i] = "0"
	}
	set := func(n int, v uint64) { fields[n-3] = strconv.FormatUint(v, 10) }
	fields[0] = string(state)
	set(22, began)
	set(48, args.from)
	set(49, args.to)
	set(50, args.to)
	set(51, args.to+4096)
	return fmt.Sprintf("%d (%s) %s\n", pid, name, strings.Join(fields, " "))
}
