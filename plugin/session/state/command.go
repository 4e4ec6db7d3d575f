package state

import (
	"errors"
	"io/fs"
	"os"
)

// Command is the sign that a command lives for which there is access: see By of
// Device and Proxy. The system takes it back when the command ends, however it ends.
type Command struct {
	lock *Lock
	path string
}

// Command gives a sign of life under a name that no other command has.
func (d *Dir) Command(name string) (*Command, error) {
	l, err := d.lock(commandFile(name), tryLock)
	if err != nil {
		return nil, err
	}
	return &Command{l, d.file(commandFile(name))}, nil
}

// Close takes the sign back. The file goes after the lock, since Windows does not
// remove a file that is open.
func (c *Command) Close() error {
	return errors.Join(c.lock.Unlock(), os.Remove(c.path))
}

// Lives says whether a command of that name lives. It removes what a dead one left.
func (d *Dir) Lives(name string) bool {
	path := d.file(commandFile(name))
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	l, err := d.lock(commandFile(name), tryShared)
	if err != nil {
		return true // or nobody can know
	}
	_ = errors.Join(l.Unlock(), os.Remove(path)) // the next call tries again
	return false
}

func commandFile(name string) string { return "command-" + name }
