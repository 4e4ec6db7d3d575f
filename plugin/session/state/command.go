package state

import (
	"errors"
	"io/fs"
	"os"
)

// Command is the sign that a command lives that holds access: see By of Device and Proxy.
// The operating system removes the sign when the command ends, however it ends.
type Command struct {
	lock *Lock
	path string
}

// Command gives the sign, under a name that no other command has.
func (d *Dir) Command(name string) (*Command, error) {
	l, err := d.lock(commandFile(name), tryLock)
	if err != nil {
		return nil, err
	}
	return &Command{l, d.file(commandFile(name))}, nil
}

// Close removes the sign. It unlocks the file before it removes it, since Windows does not
// remove a file that is open.
func (c *Command) Close() error {
	return errors.Join(c.lock.Unlock(), os.Remove(c.path))
}

// Lives says whether a command of that name lives. It removes the file of a dead command.
func (d *Dir) Lives(name string) bool {
	path := d.file(commandFile(name))
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	l, err := d.lock(commandFile(name), tryShared)
	if err != nil {
		return true // or it cannot be known
	}
	_ = errors.Join(l.Unlock(), os.Remove(path)) // the next call tries again
	return false
}

func commandFile(name string) string { return "command-" + name }
