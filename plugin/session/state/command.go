package state

import (
	"errors"
	"io/fs"
	"os"
	"slices"
)

// Command is a locked file, which shows that a command still runs that holds access (see Holders
// of Device and Proxy) or for which there is an intercept. The operating system releases the lock when the command ends, even
// by a crash.
type Command struct {
	lock *Lock
	path string
}

// Program is a program with which an intercept ends, or that is not at a loopback address.
type Program struct {
	// Socket is where the command listens that started a program in a network of its own
	// (netd/handover). If it is empty, the intercept's ports are this machine's.
	Socket string `json:"socket,omitempty"`
	// Command is the name of the command that started the program. It may be empty if
	// there is a Socket.
	Command string `json:"command,omitempty"`
	// ToPod are ports of localhost that lead to the same ports in the pod that the
	// intercept stands in for, as topod.Format has them.
	ToPod string `json:"toPod,omitempty"`
	// Hosts are the addresses other than loopback at which the user said on this machine that
	// ports are. A session connects to no other address because an object says so.
	Hosts []string `json:"hosts,omitempty"`
	// Access says that the intercept is there for access by its pod (Device.Via, Proxy.Via),
	// and ends when there is none any more. The command that opens the access is Command.
	Access bool `json:"access,omitempty"`
}

// Equal says whether both are the same program.
func (p Program) Equal(o Program) bool {
	return p.Socket == o.Socket && p.Command == o.Command && p.ToPod == o.ToPod && p.Access == o.Access && slices.Equal(p.Hosts, o.Hosts)
}

// Command makes and locks the file of the command called name. No other command may have
// the name.
func (d *Dir) Command(name string) (*Command, error) {
	l, err := d.lock(commandFile(name), tryLock)
	if err != nil {
		return nil, err
	}
	return &Command{l, d.file(commandFile(name))}, nil
}

// Close removes the file. It unlocks the file first, because Windows does not remove a file
// that is open.
func (c *Command) Close() error {
	return errors.Join(c.lock.Unlock(), os.Remove(c.path))
}

// Lives says whether the command called name still runs. If it does not, Lives removes its
// file.
func (d *Dir) Lives(name string) bool {
	path := d.file(commandFile(name))
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	l, err := d.lock(commandFile(name), tryShared)
	if err != nil {
		return true // or the lock cannot be tested
	}
	_ = errors.Join(l.Unlock(), os.Remove(path)) // the next call tries again
	return false
}

func commandFile(name string) string { return "command-" + name }
