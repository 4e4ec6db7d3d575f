package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// ChildFlag is the flag of a session process that a command starts. With it, the process
// reads a socket.Caller from its standard input.
const ChildFlag = "child"

// Child is a session process that this process started.
type Child struct {
	Dir *state.Dir
	PID int
	// Done receives the error with which the process ended, or nil.
	Done <-chan error
}

// spawn starts the session process, detached from the terminal and the working directory
// of this process.
func (c *Config) spawn(caller *socket.Caller, dir *state.Dir) (*Child, error) {
	exe, err := program.Self()
	if err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	told, err := json.Marshal(caller)
	if err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	args := append([]string{"session", "--" + ChildFlag}, caller.Args...)
	if c.Transport != "" && c.Transport != carrier.Auto {
		args = append(args, "--transport="+c.Transport)
	}
	log, err := dir.OpenLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(exe, args...)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = caller.Env, dir.Path(), bytes.NewReader(told), log, log
	cmd.SysProcAttr = detached()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return &Child{Dir: dir, PID: cmd.Process.Pid, Done: done}, nil
}

// exited reports whether the process has ended. The error is the reason. It is nil if the
// process ended because another process holds the session.
func (c *Child) exited() (bool, error) {
	var err error
	select {
	case err = <-c.Done:
	default:
		return false, nil
	}
	if text := c.Dir.Failure(c.PID); text != "" {
		return true, errors.New(text)
	}
	if err != nil {
		return true, fmt.Errorf("the session process ended (%w): %s\nIts log is %s", err, lastLine(c.Dir.Log()), c.Dir.Log())
	}
	return true, nil
}

// lastLine returns the last line of a log, for an error message.
func lastLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		_, _ = f.Seek(max(0, info.Size()-4<<10), io.SeekStart) // else: from the start
	}
	b, _ := io.ReadAll(io.LimitReader(f, 4<<10))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}
