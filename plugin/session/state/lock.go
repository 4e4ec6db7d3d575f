package state

import (
	"errors"
	"os"
)

// ErrLocked says that another process has the session.
var ErrLocked = errors.New("another process holds this session")

// Lock is the right to be the session. The system releases it when the
// process ends, however it ends.
type Lock struct{ f *os.File }

// Lock takes the lock, or returns ErrLocked.
func (d *Dir) Lock() (*Lock, error) {
	f, err := os.OpenFile(d.file("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unusable(d.file("lock"), err)
	}
	if err := tryLock(f); err != nil {
		f.Close()
		return nil, err
	}
	return &Lock{f}, nil
}

// Locked says whether a process has the session.
func (d *Dir) Locked() (bool, error) {
	l, err := d.Lock()
	if errors.Is(err, ErrLocked) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, l.Unlock()
}

// Unlock gives the lock back. The file stays: removing it would let two
// processes hold locks on different files of the same name.
func (l *Lock) Unlock() error { return l.f.Close() }
