// Package program runs the program that a command line ends with, after "--",
// as a shell would.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// ExitError says how a program ended that did not end well. The program has
// said why itself.
type ExitError struct{ Code int }

// Error implements error.
func (e *ExitError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// grace is how long a program may take to end after it was asked to.
const grace = 10 * time.Second

// Run runs a program with the given environment and waits for its end. The
// terminal's interrupts reach it by themselves, and it decides what they mean;
// other requests to end are passed on. When ctx ends, Run asks the program to end
// (SIGTERM), and ends it by force ten seconds later. The error is an *ExitError, or
// says why the program did not begin.
func Run(ctx context.Context, streams genericiooptions.IOStreams, env []string, args []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.In, streams.Out, Plain(streams.ErrOut)
	cmd.Env = env
	cmd.Cancel, cmd.WaitDelay = func() error { return ask(cmd.Process) }, grace
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	defer Guard(cmd.Process)()
	err := cmd.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // it has ended well
	}
	return Ended(err)
}

// Guard passes requests to end on to a process, and leaves the terminal's
// interrupts to it, until stop is called.
func Guard(p *os.Process) (stop func()) {
	signals := make(chan os.Signal, 8)
	notify(signals, passed)
	interrupts := make(chan os.Signal, 1)
	notify(interrupts, keys) // ours no longer
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = p.Signal(s) // it may have ended
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(interrupts)
		signal.Stop(signals)
		close(done)
	}
}

// Ends returns a context that ends when the user wants this process to: by a key,
// by closing the terminal, or by kill. It catches these signals until stop.
func Ends(ctx context.Context) (_ context.Context, stop func()) {
	return signal.NotifyContext(ctx, heard(ends)...)
}

// notify is signal.Notify, but for signals that nobody shall hear of.
func notify(c chan os.Signal, signals []os.Signal) {
	if list := heard(signals); len(list) > 0 { // none would mean all
		signal.Notify(c, list...)
	}
}

// heard leaves out what whoever started this process has it ignore: nohup and a
// shell's & do that.
func heard(signals []os.Signal) []os.Signal {
	return slices.DeleteFunc(slices.Clone(signals), signal.Ignored)
}

// Ended makes an *ExitError of what waiting for a program returned.
func Ended(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &ExitError{Code: code(exit)}
	}
	return err
}

// Plain is what a program gets as its error output: the terminal itself.
func Plain(w io.Writer) io.Writer {
	if f, ok := w.(interface{ Unwrap() io.Writer }); ok {
		return f.Unwrap()
	}
	return w
}
