package inside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/route"
	"github.com/kubectl-intercept/kubectl-intercept/netd/tun"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
)

const (
	// setUpTime is how long the supervisor may take to set up.
	setUpTime = 15 * time.Second
	// endTime is how long it may take to end.
	endTime = 15 * time.Second
	// prefix begins the names of folders in the system's folder for such.
	prefix = "kubectl-intercept-run-"
	// maxSocket fits a sockaddr_un.
	maxSocket = 103
)

// The descriptors that the supervisor gets.
const (
	controlFD = 3 + iota
	listenerFD
)

// Space is the place of one program, from before it begins until after it
// ended.
type Space struct {
	cmd     *exec.Cmd
	folder  string
	ns      string // network namespace inside; "" until it is known
	control *control
	ready   chan error // the first word, then how the program's start went
	lost    chan struct{}
	done    chan struct{} // closed when the supervisor has ended
	err     error         // how
}

// Open makes the namespaces. The supervisor in them is started with cmd, whose
// program, arguments, environment and streams are set. The error names what of
// this machine forbids it.
func Open(cmd *exec.Cmd) (*Space, error) {
	if err := checkTUN(); err != nil {
		return nil, err
	}
	s := &Space{cmd: cmd, ready: make(chan error, 2), lost: make(chan struct{}, 1), done: make(chan struct{})}
	if err := s.start(); err != nil {
		if s.control != nil {
			s.control.close() // and the supervisor, if there is one, ends
		}
		s.remove()
		return nil, err
	}
	go s.listen()
	select {
	case err := <-s.ready:
		if err != nil {
			s.Close()
			return nil, err
		}
	case <-time.After(setUpTime):
		s.Close()
		return nil, errors.New("make a network for the program: nothing happens")
	}
	var err error
	if s.ns, err = namespace(strconv.Itoa(s.cmd.Process.Pid)); err != nil {
		s.Close()
		return nil, fmt.Errorf("make a network for the program: find the namespace: %w", err)
	}
	return s, nil
}

// start starts the supervisor, which listens at the socket.
func (s *Space) start() (err error) {
	sweep()
	if s.folder, err = folder(); err != nil {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.Socket(), Net: "unix"})
	if err != nil {
		return fmt.Errorf("make a network for the program: %w", err)
	}
	defer l.Close() // the supervisor has it
	l.SetUnlinkOnClose(false)
	lf, err := l.File()
	if err != nil {
		return fmt.Errorf("make a network for the program: %w", err)
	}
	defer lf.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("make a network for the program: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	s.control = newControl(os.NewFile(uintptr(pair[0]), "control"))
	s.cmd.ExtraFiles = []*os.File{theirs, lf}
	s.cmd.SysProcAttr = attributes()
	if err := s.cmd.Start(); err != nil {
		return forbidden(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	have, err := routes()
	if err != nil {
		return err
	}
	return s.control.send(message{Folder: s.folder, Routes: have})
}

// routes are what the program shall reach besides the cluster. Those of
// kubectl intercept connect are none of it.
func routes() ([]route.Entry, error) {
	all, err := route.Read("")
	return slices.DeleteFunc(all, func(e route.Entry) bool { return strings.HasPrefix(e.Device, tun.Prefix) }), err
}

// attributes are those of a process in new namespaces. Who may make network
// and mount namespaces needs no user namespace, and stays all that they are.
func attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if mighty() {
		return a
	}
	uid, gid := os.Geteuid(), os.Getegid()
	a.Cloneflags |= unix.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	a.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN}
	return a
}

// listen hears the supervisor until it ends.
func (s *Space) listen() {
	for {
		m, err := s.control.receive()
		switch {
		case err != nil:
			s.ready <- errors.New("make a network for the program: the process inside ended")
			return
		case m.Error != "":
			s.ready <- errors.New(m.Error)
			return
		case m.Ready, m.Started:
			s.ready <- nil
		case m.Lost:
			select {
			case s.lost <- struct{}{}:
			default:
			}
		}
	}
}

// Socket is where the supervisor answers (netd/handover), for this user alone.
func (s *Space) Socket() string { return filepath.Join(s.folder, "inside.sock") }

// Lost has a value whenever the session that served the network is gone.
func (s *Space) Lost() <-chan struct{} { return s.lost }

// Run starts the program and waits for its end. The error is an
// *program.ExitError, or says why the program did not begin.
func (s *Space) Run() error {
	stop := program.Guard(s.cmd.Process)
	defer stop()
	if err := s.control.send(message{Begin: true}); err != nil {
		return fmt.Errorf("start the program: %w", err)
	}
	if err := <-s.ready; err != nil {
		return err
	}
	<-s.done
	return program.Ended(s.err)
}

// Close ends what is left, and returns when it is gone.
func (s *Space) Close() {
	s.control.close()
	select {
	case <-s.done:
	case <-time.After(endTime):
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.done
	}
	// A supervisor that was killed has left its part undone.
	for deadline := time.Now().Add(grace); s.ns != "" && end(s.ns, unix.SIGKILL) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	s.remove()
}

func (s *Space) remove() {
	if s.folder != "" {
		os.RemoveAll(s.folder) // it is nothing that matters
	}
}

// folder makes one that the user alone can enter, with room for a socket.
func folder() (string, error) {
	for _, parent := range []string{"", "/tmp"} {
		path, err := os.MkdirTemp(parent, prefix)
		if err != nil {
			return "", fmt.Errorf("make a network for the program: %w", err)
		}
		if len(path)+len("/inside.sock") <= maxSocket {
			return path, nil
		}
		os.Remove(path)
	}
	return "", errors.New("make a network for the program: no short path for a socket; set TMPDIR to a shorter one")
}

// sweep removes what was left where all processes were killed at once.
func sweep() {
	list, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, path := range list {
		info, err := os.Stat(path)
		if st, ok := statOf(info, err); !ok || int(st.Uid) != os.Getuid() || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(path, "inside.sock"))
		cancel()
		if err == nil {
			c.Close()
		} else if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
			os.RemoveAll(path)
		}
	}
}

func statOf(info os.FileInfo, err error) (*syscall.Stat_t, bool) {
	if err != nil {
		return nil, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}
