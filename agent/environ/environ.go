// Package environ reads what the first process of a container has: its environment, its
// working directory, its command line and its user. The agent must share the container's
// PID namespace, as an ephemeral container with a target container does.
package environ

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
)

// Proc is where a procfs is mounted.
type Proc string

// Root is the agent's own procfs.
const Root Proc = "/proc"

// attempts bounds how often a process is read again because it changes meanwhile.
const attempts = 5

// errGone says that a process ended while it was read.
var errGone = errors.New("the process has ended")

// Of returns what the first process of a container has. Find says how it is found. Variables
// with the names in excluded are left out, and their values do not appear in the command
// line either. The values of other variables are passed on as they are, also if one
// contains the value of an excluded variable.
func (p Proc) Of(container string, excluded []string) (*process.Process, error) {
	for range attempts {
		pid, err := p.Find(container)
		if err != nil {
			return nil, err
		}
		found, err := p.Read(pid, excluded)
		if !errors.Is(err, errGone) {
			return found, err
		}
	}
	return nil, fmt.Errorf("the container's process ended each of the %d times that it was read: the container is being restarted", attempts)
}

// ended says that an error means that the process is not there any more.
func ended(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}
