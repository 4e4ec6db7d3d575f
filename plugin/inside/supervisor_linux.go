package inside

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/route"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
)

// The supervisor forwards the signals in passed to the program. It ignores those in
// kept, because a terminal sends them to the program as well.
var (
	passed = []os.Signal{unix.SIGTERM, unix.SIGHUP}
	kept   = []os.Signal{unix.SIGINT, unix.SIGQUIT}
)

// supervisor is the process in the namespaces that starts the program.
type supervisor struct {
	control *control
	files   files
	network network
	laptop  []route.Entry
	args    []string
}

// Supervise is the hidden command. It runs in the new namespaces until the program
// has ended. The error is a *program.ExitError with the program's code.
func Supervise(args []string) error {
	if len(args) == 0 {
		return errors.New("this command is for kubectl intercept run to call")
	}
	for _, fd := range []int{controlFD, listenerFD} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return errors.New("this command is for kubectl intercept run to call")
		}
	}
	l, err := net.FileListener(os.NewFile(listenerFD, "listener"))
	if err != nil {
		return err
	}
	defer l.Close()
	s := &supervisor{control: newControl(os.NewFile(controlFD, "control")), args: args}
	first, err := s.control.receive()
	if err != nil {
		return err
	}
	defer os.RemoveAll(first.Folder) // in case the command was killed
	s.files.folder, s.laptop = first.Folder, first.Routes
	// Signals of a terminal or to the process group are meant for the program, which
	// gets them too. The supervisor must not end first.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, kept...)
	if err := s.prepare(); err != nil {
		return s.fail(err)
	}
	if err := s.control.send(message{Ready: true}); err != nil {
		return err
	}
	go s.accept(l)
	for {
		m, err := s.control.receive()
		switch {
		case err == nil && m.Volumes != nil:
			err = s.control.send(message{Placed: true, Notices: s.put(m.Volumes)})
			if err == nil {
				continue
			}
		case err == nil && m.Begin:
			return s.run(m.Environment)
		}
		return nil // the command gave up before the program began
	}
}

// put shows the volumes of a container at their own paths.
func (s *supervisor) put(v *Volumes) []string {
	home, _ := os.UserHomeDir()         // "" is left out
	file, _ := exec.LookPath(s.args[0]) // so is what is not found
	p := &places{folder: s.files.folder, needed: neededBy(append(filepath.SplitList(os.Getenv("PATH")), home, file, s.files.folder, os.TempDir())...)}
	return p.put(v)
}

// fail sends the error to the command, which prints it.
func (s *supervisor) fail(err error) error {
	if serr := s.control.send(message{Error: err.Error()}); serr != nil {
		return err
	}
	return &program.ExitError{Code: 1}
}

// prepare sets up everything in the namespaces that the program needs, except the
// TUN.
func (s *supervisor) prepare() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of what the program starts: %w", err)
	}
	if err := s.files.read(); err != nil {
		return err
	}
	if err := private(); err != nil {
		return forbidden(err)
	}
	return s.network.prepare()
}

// run starts the program and waits until it ends. Then it ends the processes that the
// program left behind.
func (s *supervisor) run(environment [][]byte) error {
	cmd, err := start(s.args, environment)
	if err != nil {
		return s.fail(fmt.Errorf("start %s: %w", s.args[0], err))
	}
	_ = s.control.send(message{Started: true}) // if the command is gone, receive fails below
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, passed...)
	go func() {
		for sig := range signals {
			_ = cmd.Process.Signal(sig) // it may have ended
		}
	}()
	go func() {
		for {
			if _, err := s.control.receive(); err != nil {
				if own, err := namespace("self"); err == nil {
					end(own, unix.SIGKILL)
				}
				return
			}
		}
	}()
	status, err := reap(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("wait for %s: %w", s.args[0], err)
	}
	endAll()
	if code := program.Code(syscall.WaitStatus(status)); code != 0 {
		return &program.ExitError{Code: code}
	}
	return nil
}

// start starts the program without the supervisor's capabilities. The kernel kills
// the program when this thread ends. The thread stays locked, so that it lives as
// long as the process.
func start(args []string, environment [][]byte) (*exec.Cmd, error) {
	runtime.LockOSThread()
	if err := drop(); err != nil {
		return nil, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = []string{} // nil would be the supervisor's
	for _, entry := range environment {
		cmd.Env = append(cmd.Env, string(entry))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return cmd, cmd.Start()
}

// drop keeps the capabilities that the supervisor got in the user namespace from the
// programs that this thread starts: see capabilities(7). Capabilities that the user
// had before stay.
func drop() error {
	if canUnshare() {
		return nil
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	err := unix.Capget(&h, &d[0])
	if err == nil {
		d[0].Inheritable, d[1].Inheritable = 0, 0
		err = unix.Capset(&h, &d[0])
	}
	if err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}
