package state

import (
	"errors"
	"os"
	"strconv"
	"strings"
)

const (
	lockFile = "lock"
	pidFile  = "pid"
)

// ErrLocked says that another process holds the session.
var ErrLocked = errors.New("another process holds this session")

// Lock is the lock of a session: only the process that holds it serves the session. The
// operating system releases the lock when the process ends, even by a crash.
type Lock struct{ f *os.File }

// Lock takes the lock, or returns ErrLocked.
func (d *Dir) Lock() (*Lock, error) { return d.lock(lockFile, tryLock) }

func (d *Dir) lock(name string, try func(*os.File) error) (*Lock, error) {
	f, err := os.OpenFile(d.file(name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unusable(d.file(name), err)
	}
	if err := try(f); err != nil {
		f.Close()
		return nil, err
	}
	return &Lock{f}, nil
}

// Locked says whether a process holds the session. It tests with a shared lock, so that two
// commands that test at the same time do not see each other as that process.
func (d *Dir) Locked() (bool, error) {
	l, err := d.lock(lockFile, tryShared)
	if errors.Is(err, ErrLocked) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, l.Unlock()
}

// Unlock releases the lock. The file stays: removing it would let two
// processes hold locks on different files of the same name.
func (l *Lock) Unlock() error { return l.f.Close() }

// SavePID writes the PID of this process, which holds the lock.
func (d *Dir) SavePID() error { return d.write(pidFile, os.Getpid()) }

// ClearPID removes the PID. Call it before the lock is released.
func (d *Dir) ClearPID() { os.Remove(d.file(pidFile)) }

// PID returns the PID of the process that holds the lock, or 0 if it is not known. It is
// meaningless while no process holds the lock.
func (d *Dir) PID() int {
	b, err := os.ReadFile(d.file(pidFile))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}
