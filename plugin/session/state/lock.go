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

// ErrLocked says that another process has the session.
var ErrLocked = errors.New("another process holds this session")

// Lock is the right to be the session. The operating system releases it when the process
// ends, however it ends.
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

// Locked says whether a process has the session. Two commands that ask at the same time do
// not take each other for that process.
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

// SavePID writes the PID of the process that holds the lock, which is this one.
func (d *Dir) SavePID() error { return d.write(pidFile, os.Getpid()) }

// ClearPID removes the PID, before this process releases the lock.
func (d *Dir) ClearPID() { os.Remove(d.file(pidFile)) }

// PID is that of the process that holds the lock; 0 if it is not known. It means nothing
// while the lock is free.
func (d *Dir) PID() int {
	b, err := os.ReadFile(d.file(pidFile))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}
