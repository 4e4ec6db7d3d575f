package pause

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// withChildren attaches the tracer to what a thread makes, before that runs.
	withChildren = unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK
	// ownTracees waits for what the calling thread has attached itself to, and for no other
	// child of the agent. It is __WNOTHREAD.
	ownTracees = 0x20000000
	// procfs is where the tracer reads about threads.
	procfs = "/proc"
)

// tracer holds threads. All of its methods run on one thread, whose end ends the tracer.
type tracer struct {
	// held are threads, by ID, and whether each has stopped. One that has not does so before
	// it runs any code of its program.
	held map[int]bool
	self int // the thread that traces
}

// apart runs f on a thread that ends with f.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// The main thread never ends. While this goroutine keeps it, another one has another.
		defer runtime.UnlockOSThread()
		apart(f)
	}()
	<-done
}

// seize attaches the tracer to a thread of a process and makes the thread stop. Gone says that
// the thread has ended.
func (t *tracer) seize(pid, tid int) (gone bool, err error) {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, withChildren, 0, 0)
	switch {
	case errno == unix.ESRCH:
		return true, nil
	case errno != 0:
		return t.refused(pid, tid, errno)
	}
	t.held[tid] = false
	if err := unix.PtraceInterrupt(tid); err != nil && !errors.Is(err, unix.ESRCH) {
		return false, fmt.Errorf("stop thread %d: %w", tid, err)
	}
	return false, nil
}

// refused says why the kernel does not let the tracer have a thread. A child of a thread that
// it has already is its own since the child began.
func (t *tracer) refused(pid, tid int, errno unix.Errno) (gone bool, err error) {
	s, err := readThread(pid, tid)
	if err != nil || s.state == 'Z' || s.state == 'X' {
		return true, nil
	}
	what := fmt.Sprintf("process %d (%s) of user %s", pid, s.name, s.user)
	switch scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); {
	case s.tracer == t.self:
		if _, known := t.held[tid]; !known {
			t.held[tid] = false
		}
		return false, nil
	case s.tracer != 0:
		return false, fmt.Errorf("stop %s: another program debugs it, process %d: end that, and it is tried again", what, s.tracer)
	case strings.TrimSpace(string(scope)) == "3":
		return false, fmt.Errorf("stop %s: %w: its node lets nobody stop processes (kernel.yama.ptrace_scope=3)", what, errno)
	}
	return false, fmt.Errorf("stop %s: %w: the agent's container needs the capability SYS_PTRACE, which a pod security level below privileged refuses; "+
		"without it, the node has to let processes of one user debug each other (kernel.yama.ptrace_scope=0)", what, errno)
}

// reap takes note of all that has happened to threads.
func (t *tracer) reap() error {
	for {
		var status unix.WaitStatus
		tid, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOHANG|ownTracees, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD), err == nil && tid == 0:
			return nil
		case err != nil:
			return fmt.Errorf("wait for stopped threads: %w", err)
		case !status.Stopped():
			delete(t.held, tid) // it has ended
			continue
		}
		if event := status >> 16; event != 0 {
			t.held[tid] = true
			continue
		}
		// A signal came between the two calls of seize. Its thread takes it, and stops.
		t.held[tid] = false
		if err := cont(tid, status.StopSignal()); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("deliver signal %d to thread %d: %w", status.StopSignal(), tid, err)
		}
	}
}

func cont(tid int, signal unix.Signal) error {
	if err := unix.PtraceInterrupt(tid); err != nil {
		return err
	}
	return unix.PtraceCont(tid, int(signal))
}

// running are threads that have not stopped yet.
func (t *tracer) running() (tids []int) {
	for tid, stopped := range t.held {
		if !stopped {
			tids = append(tids, tid)
		}
	}
	return tids
}

// release lets all threads go on that have stopped. The others do when the tracer ends.
func (t *tracer) release() {
	for tid, stopped := range t.held {
		if stopped {
			_ = unix.PtraceDetach(tid) // an error: it has ended
		}
	}
	clear(t.held)
}

// threads lists the threads of a process; none if it has ended.
func threads(pid int) (tids []int) {
	entries, _ := os.ReadDir(filepath.Join(procfs, strconv.Itoa(pid), "task"))
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}

// thread is a part of /proc/PID/task/TID/status.
type thread struct {
	name, user string
	state      byte
	tracer     int
}

func readThread(pid, tid int) (thread, error) {
	b, err := os.ReadFile(filepath.Join(procfs, strconv.Itoa(pid), "task", strconv.Itoa(tid), "status"))
	if err != nil {
		return thread{}, err
	}
	return parseThread(string(b)), nil
}

func parseThread(text string) (s thread) {
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "Name":
			s.name = strings.TrimSpace(rest)
		case "State":
			s.state = fields[0][0]
		case "TracerPid":
			s.tracer, _ = strconv.Atoi(fields[0])
		case "Uid":
			s.user = fields[0]
		}
	}
	return s
}
