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
	// putTime is how long it may take to show volumes at their own paths.
	putTime = 30 * time.Second
	// askedTime is how long the program may take to end after SIGTERM.
	askedTime = 10 * time.Second
	// endTime is how long the supervisor may take to end.
	endTime = 15 * time.Second
	// prefix begins the names of our folders in the system's temporary folder.
	prefix = "kubectl-intercept-run-"
	// maxSocket is the longest path of a socket, in bytes; a sockaddr_un has room for
	// it.
	maxSocket = 103
)

// The file descriptors that the supervisor inherits.
const (
	controlFD = 3 + iota
	listenerFD
)

// Space is the set of namespaces of one program. It exists before the program begins
// and until the program has ended.
type Space struct {
	cmd     *exec.Cmd
	folder  string
	ns      string // network namespace inside; "" until it is known
	control *control
	ready   chan error    // the result of the set-up, then that of the program's start
	placed  chan []string // answers of the supervisor to Put
	lost    chan struct{}
	done    chan struct{} // closed when the supervisor has ended
	err     error         // the supervisor's exit error; valid when done is closed
}

// Open makes the namespaces and starts the supervisor in them with cmd. The caller
// must have set the program, arguments, environment and streams of cmd. The error
// names the setting of this machine that forbids the namespaces.
func Open(cmd *exec.Cmd) (*Space, error) {
	if err := checkTUN(); err != nil {
		return nil, err
	}
	s := &Space{cmd: cmd, ready: make(chan error, 2), placed: make(chan []string, 1), lost: make(chan struct{}, 1), done: make(chan struct{})}
	if err := s.start(); err != nil {
		if s.control != nil {
			s.control.close() // this ends the supervisor, if it was started
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
		return nil, errors.New("make a network for the program: it was not ready in time")
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
	defer l.Close() // the supervisor has a copy
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

// routes returns the laptop's routes, by which the program reaches everything but the
// cluster. The routes of kubectl intercept connect are left out.
func routes() ([]route.Entry, error) {
	all, err := route.Read("")
	return slices.DeleteFunc(all, func(e route.Entry) bool { return strings.HasPrefix(e.Device, tun.Prefix) }), err
}

// attributes returns the attributes of a process in new namespaces. If this process
// may make network and mount namespaces itself, there is no user namespace, and user
// and capabilities stay the same.
func attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if canUnshare() {
		return a
	}
	uid, gid := os.Geteuid(), os.Getegid()
	a.Cloneflags |= unix.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	a.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN}
	return a
}

// listen handles the messages of the supervisor until the connection ends.
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
		case m.Placed:
			s.placed <- m.Notices
		case m.Lost:
			select {
			case s.lost <- struct{}{}:
			default:
			}
		}
	}
}

// Socket returns the path of the unix socket on which the supervisor serves
// netd/handover, to processes of this user only.
func (s *Space) Socket() string { return filepath.Join(s.folder, "inside.sock") }

// Lost returns a channel that receives a value when the connection of the session
// that serves the network has ended.
func (s *Space) Lost() <-chan struct{} { return s.lost }

// Put shows the volumes of a container at their own paths, to the program alone. Call it once,
// before Run. The notices say which are not shown there, and why.
func (s *Space) Put(v Volumes) (notices []string, err error) {
	if err := s.control.send(message{Volumes: &v}); err != nil {
		return nil, fmt.Errorf("show the volumes at their own paths: %w", err)
	}
	select {
	case notices = <-s.placed:
		return notices, nil
	case <-s.done:
		return nil, errors.New("show the volumes at their own paths: the process inside ended")
	case <-time.After(putTime):
		return nil, errors.New("show the volumes at their own paths: that was not done in time")
	}
}

// Run starts the program with an environment, as in exec.Cmd, and waits until it ends. When
// ctx ends, Run ends the program. The error is a *program.ExitError, or says why the program
// did not begin.
func (s *Space) Run(ctx context.Context, environment []string) error {
	stop := program.Guard(s.cmd.Process)
	defer stop()
	defer context.AfterFunc(ctx, s.end)()
	begin := message{Begin: true}
	for _, entry := range environment {
		begin.Environment = append(begin.Environment, []byte(entry))
	}
	if err := s.control.send(begin); err != nil {
		return fmt.Errorf("start the program: %w", err)
	}
	if err := <-s.ready; err != nil {
		return err
	}
	<-s.done
	return program.Ended(s.err)
}

// end asks the program to end (SIGTERM), and ends all processes in the namespaces if it has
// not ended after a while.
func (s *Space) end() {
	_ = s.cmd.Process.Signal(unix.SIGTERM) // the supervisor passes it on, or has ended
	select {
	case <-s.done:
	case <-time.After(askedTime):
		s.control.close()
		<-s.done
	}
}

// Close ends the supervisor and all processes in the namespaces, and waits for their
// end.
func (s *Space) Close() {
	s.control.close()
	select {
	case <-s.done:
	case <-time.After(endTime):
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.done
	}
	// A supervisor that was killed has not ended the processes in the namespaces.
	for deadline := time.Now().Add(grace); s.ns != "" && end(s.ns, unix.SIGKILL) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	s.remove()
}

func (s *Space) remove() {
	if s.folder != "" {
		os.RemoveAll(s.folder) // on an error, a later sweep removes it
	}
}

// folder makes a folder that only this user can enter. Its path is short enough for a
// socket in it.
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

// sweep removes the folders of earlier runs whose processes were all killed.
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
