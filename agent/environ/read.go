package environ

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
)

// snapshot is what a process has at one time.
type snapshot struct {
	stat
	environ, cmdline []byte
	directory        string
	user             user
}

// Read returns what a process has. It reads until two readings are equal: a process that
// executes another program has a new environment, and a new command line a moment later.
func (p Proc) Read(pid int, excluded []string) (*process.Process, error) {
	s, err := p.snapshot(pid)
	for range attempts {
		if err != nil {
			return nil, err
		}
		before := s
		if s, err = p.snapshot(pid); err == nil && reflect.DeepEqual(before, s) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	told := &process.Process{Directory: s.directory, UID: s.user.uid, GID: s.user.gid, Groups: s.user.groups}
	all, intact := parse(s.environ)
	if intact && !s.titled() {
		kept, dropped := exclude(all, excluded)
		told.Environment, told.Command = kept, mask(arguments(s.cmdline), dropped)
		return told, nil
	}
	// The command line is a title.
	if all, err = p.moved(pid); err != nil || len(all) == 0 {
		told.Overwritten = true
		return told, nil
	}
	told.Environment, _ = exclude(all, excluded)
	return told, nil
}

func (p Proc) snapshot(pid int) (s snapshot, err error) {
	if s.stat, err = p.stat(pid); err != nil {
		return s, err
	}
	if s.state == 'Z' || s.state == 'X' {
		return s, errGone // what is left has no memory
	}
	s.state = 0 // running or sleeping
	if s.user, err = p.user(pid); err != nil {
		return s, err
	}
	if s.environ, err = p.environ(pid, s.env); err == nil {
		s.directory, err = os.Readlink(p.file(pid, "cwd"))
	}
	if err == nil {
		s.cmdline, err = p.whole(pid, "cmdline")
	}
	switch {
	case err == nil, errors.Is(err, errTooLarge):
		return s, err
	case ended(err):
		return s, errGone
	case errors.Is(err, fs.ErrPermission):
		return s, refused(pid, s.user, err)
	default:
		return s, fmt.Errorf("read the environment of process %d: %w", pid, err)
	}
}

// environ returns the environment. The file belongs to the user of the process, and root
// without DAC_OVERRIDE may not open another user's: the memory of the process is open to
// whoever has SYS_PTRACE.
func (p Proc) environ(pid int, env area) ([]byte, error) {
	b, err := p.whole(pid, "environ")
	if errors.Is(err, fs.ErrPermission) && p == Root && env.to > env.from {
		if env.size() > process.MaxSize {
			return nil, errTooLarge
		}
		if b, merr := memory(pid, env); merr == nil {
			return b, nil
		}
	}
	return b, err
}

var errTooLarge = fmt.Errorf("the environment of the process has more than %d bytes", process.MaxSize)

// whole reads a file of procfs to its end; a read returns a page at most.
func (p Proc) whole(pid int, name string) ([]byte, error) {
	f, err := os.Open(p.file(pid, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, process.MaxSize+1))
	if len(b) > process.MaxSize {
		return nil, errTooLarge
	}
	return b, err
}

// titled says that the process shows a title which is longer than its arguments were: the
// kernel then reads on into the memory of the environment.
func (s *snapshot) titled() bool {
	return s.args.to > s.args.from && uint64(len(s.cmdline)) > s.args.size()
}

// memory reads the bytes of an area of a process.
func memory(pid int, a area) ([]byte, error) {
	b := make([]byte, a.size())
	return b, memoryInto(pid, a.from, b)
}

// memoryInto fills b with the memory of a process from an address on.
func memoryInto(pid int, at uint64, b []byte) error {
	local := []unix.Iovec{{Base: &b[0]}}
	local[0].SetLen(len(b))
	n, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(at), Len: len(b)}}, 0)
	if err != nil {
		return err
	}
	if n < len(b) {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// refused says what the agent lacks.
func refused(pid int, u user, err error) error {
	if !maySeeOthers() {
		return fmt.Errorf("read the environment of process %d of user %d: the agent's container needs the capability SYS_PTRACE: %w", pid, u.uid, err)
	}
	return fmt.Errorf("read the environment of process %d of user %d: %w, although the agent has SYS_PTRACE: a security module of the node, such as AppArmor or SELinux, forbids it, or the process belongs to another user namespace", pid, u.uid, err)
}

// maySeeOthers says that this thread has SYS_PTRACE.
func maySeeOthers() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_PTRACE) != 0
}
