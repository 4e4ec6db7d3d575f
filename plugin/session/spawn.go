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

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// child is a session process that this process started.
type child struct {
	dir  *state.Dir
	pid  int
	done chan error // gets what Wait returned
}

// spawn starts the process, detached from the terminal and the working
// directory of this one.
func spawn(cfg Config, who *caller, dir *state.Dir) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	told, err := json.Marshal(who)
	if err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	args := append([]string{"session", "--" + childFlag}, who.Args...)
	if cfg.Transport != "" && cfg.Transport != carrier.Auto {
		args = append(args, "--transport="+cfg.Transport)
	}
	log, err := dir.OpenLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(exe, args...)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = who.Env, dir.Path(), bytes.NewReader(told), log, log
	cmd.SysProcAttr = detached()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	c := &child{dir: dir, pid: cmd.Process.Pid, done: make(chan error, 1)}
	go func() { c.done <- cmd.Wait() }()
	return c, nil
}

// exited says whether the process has ended, and why if that was not in
// favour of another one.
func (c *child) exited() (bool, error) {
	var err error
	select {
	case err = <-c.done:
	default:
		return false, nil
	}
	if text := c.dir.Failure(c.pid); text != "" {
		return true, errors.New(text)
	}
	if err != nil {
		return true, fmt.Errorf("the session process ended (%w): %s\nIts log is %s", err, lastLine(c.dir.Log()), c.dir.Log())
	}
	return true, nil
}

// lastLine is the end of a log, for an error message.
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
