//go:build linux

package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// Space is a network namespace: a node's, a pod's or a laptop's. A socket that a
// Space makes stays in its namespace.
type Space struct {
	pid  int // of a process in the namespace
	ns   *os.File
	hold io.Closer
}

// space returns the namespace in which bin/cluster, with args, starts a process. The
// process only keeps the namespace in existence.
func (c *Cluster) space(args ...string) (*Space, error) {
	return hold(exec.Command(c.Bin("cluster"), append(args, "sh", "-c", "echo ready; exec cat >/dev/null")...))
}

// hold starts a process, waits until it prints "ready", and returns its network
// namespace. Close ends the process.
func hold(cmd *exec.Cmd) (*Space, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	s, err := spaceOf(cmd.Process.Pid)
	if err == nil {
		s.hold = in
	}
	return s, err
}

func spaceOf(pid int) (*Space, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	return &Space{pid: pid, ns: f}, err
}

// beside is a shell script. It joins the control groups whose cgroup.procs files $0
// lists, enters namespaces by the options of nsenter that $1 lists, and becomes the
// program that the other arguments name.
const beside = `for group in $0; do echo $$ >$group || exit; done
options=$1; shift
exec nsenter $options "$@"`

// Beside returns the command line that runs a program in the network and mount
// namespaces and the control groups of the Space's process, in a folder. It starts
// within milliseconds, where bin/cluster takes a third of a second of processor time.
func (s *Space) Beside(dir, program string, args ...string) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", s.pid))
	if err != nil {
		return nil, err
	}
	var groups []string
	for line := range strings.Lines(string(text)) {
		// ID:CONTROLLERS:PATH, cgroups(7). Only version 2 has no controllers.
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, mount := range []string{strings.TrimPrefix(f[1], "name="), "unified", ""} {
			file := filepath.Join("/sys/fs/cgroup", mount, f[2], "cgroup.procs")
			if (mount == "" || mount == "unified") == (f[1] == "") && exists(file) {
				groups = append(groups, file)
				break
			}
		}
	}
	options := fmt.Sprintf("--target=%d --net --mount --wdns=%s", s.pid, dir)
	return append([]string{"sh", "-c", beside, strings.Join(groups, " "), options, program}, args...), nil
}

// Root returns a path by which this process sees the files of the Space's mount namespace.
func (s *Space) Root() string { return fmt.Sprintf("/proc/%d/root", s.pid) }

// Close closes the handle on the namespace, and ends the process that kept it in
// existence.
func (s *Space) Close() {
	s.ns.Close()
	if s.hold != nil {
		s.hold.Close()
	}
}

// do runs f on a thread in the namespace.
func (s *Space) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(s.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// Dial connects from the namespace. The address must be numeric, because names would
// be resolved outside the namespace.
func (s *Space) Dial(ctx context.Context, network, addr string) (c net.Conn, err error) {
	err = s.do(func() error {
		d := net.Dialer{Timeout: 10 * time.Second}
		d.SetMultipathTCP(false)
		c, err = d.DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// Listen listens in the namespace.
func (s *Space) Listen(addr string) (l net.Listener, err error) {
	err = s.do(func() error {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(false)
		l, err = lc.Listen(context.Background(), "tcp", addr)
		return err
	})
	return l, err
}

// ListenUDP listens for datagrams in the namespace.
func (s *Space) ListenUDP(addr string) (p net.PacketConn, err error) {
	err = s.do(func() error {
		p, err = net.ListenPacket("udp", addr)
		return err
	})
	return p, err
}

// Nft runs nft in the namespace and returns what it printed.
func (s *Space) Nft(args ...string) (string, error) {
	out, err := exec.Command("nsenter", append([]string{fmt.Sprintf("--target=%d", s.pid), "--net", "nft"}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// podProcesses returns the IDs of a pod's processes whose command line contains text.
func podProcesses(p *corev1.Pod, text string) []int {
	var pids []int
	for _, pid := range processes() {
		group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if !strings.Contains(string(group), "pod"+string(p.UID)) {
			continue
		}
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(line), text) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func processes() []int {
	var pids []int
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, e := range entries {
		if pid, err := strconv.Atoi(filepath.Base(e)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
