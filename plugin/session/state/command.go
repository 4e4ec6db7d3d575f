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

// Close takes the sign back.
func (c *Command) Close() error {
	return errors.Join(os.Remove(c.path), c.lock.Unlock())
}

// Lives says whether a command of that name lives. Nothing is left of a dead one.
func (d *Dir) Lives(name string) bool {
	path := d.file(commandFile(name))
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	l, err := d.lock(commandFile(name), tryShared)
	if err != nil {
		return true // or nobody can know
	}
	return errors.Join(os.Remove(path), l.Unlock()) != nil
}

func commandFile(name string) string { return "command-" + name }
