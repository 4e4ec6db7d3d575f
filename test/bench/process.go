package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that runs until it is stopped.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // valid then
	out  chan string   // its lines after the one that said it was ready
	text *tail
}

// start runs a program and returns when it has printed a line that contains
// sign. The caller stops it.
func start(ctx context.Context, argv, env []string, sign string) (*process, error) {
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{}), out: make(chan string, 16), text: &tail{}}
	p.cmd.Env, p.cmd.Stderr = env, p.text
	// Ctrl-C is for this program, which then stops the others in good order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	works := make(chan struct{})
	go func() {
		said := false
		for s := bufio.NewScanner(stdout); s.Scan(); {
			if !said && strings.Contains(s.Text(), sign) {
				said = true
				close(works)
				continue
			}
			select {
			case p.out <- s.Text():
			default: // nobody wants it
			}
		}
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	const limit = 30 * time.Second
	select {
	case <-works:
		return p, nil
	case <-p.done:
		err = fmt.Errorf("ended at once: %v", p.err)
	case <-time.After(limit):
		err = fmt.Errorf("not ready after %s", limit)
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.stop()
	return nil, fmt.Errorf("%s: %w%s", strings.Join(argv, " "), err, p.text)
}

// stop ends the process and waits for it. Stopping nil, or twice, is fine.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails once it has ended
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// alive says whether it still runs.
func (p *process) alive() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// nextLine waits for what the process prints next.
func (p *process) nextLine(ctx context.Context) (string, error) {
	select {
	case s := <-p.out:
		return s, nil
	case <-ctx.Done():
		return "", ctx.Err()
	case <-p.done:
	}
	select {
	case s := <-p.out:
		return s, nil
	default:
		return "", errors.New("ended without a result" + p.text.String())
	}
}

// tail keeps the end of what a program says about itself. It is safe for
// concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const limit = 2 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-limit):]
	return len(b), nil
}

// String begins a line of its own, to be put behind an error.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(string(t.text)); s != "" {
		return "\n" + s
	}
	return ""
}

// output runs a program to its end, for at most limit, and returns what it
// printed.
func output(ctx context.Context, limit time.Duration, argv, env []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	text := &tail{}
	var out strings.Builder
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, text
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("%s: %w%s", strings.Join(argv, " "), err, text)
	}
	return out.String(), nil
}
