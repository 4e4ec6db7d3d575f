package files

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/fusefs"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

// Unable says why this process cannot mount by FUSE, and is nil if it can: root mounts
// itself, other users have fusermount3 do it.
func Unable() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return errors.New("it has no /dev/fuse")
	}
	if os.Geteuid() == 0 {
		f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return f.Close()
	}
	if _, err := fusermount(); err != nil {
		return errors.New("fusermount3 is not installed (package fuse3)")
	}
	return nil
}

func fusermount() (string, error) {
	if p, err := exec.LookPath("fusermount3"); err == nil {
		return p, nil
	}
	return exec.LookPath("fusermount")
}

func mountTree(ctx context.Context, o Options, client *remote.Client, dir string) (unmountAll func() error, err error) {
	server, err := fusefs.Mount(ctx, fusefs.Config{Client: client, Dir: dir, ReadOnly: o.ReadOnly, AllowOther: o.AllowOther})
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := unmount(dir); err != nil {
			return err
		}
		// Programs that have files open keep the mount alive, which nobody sees any more.
		// Without its client, their calls fail.
		go server.Wait()
		return nil
	}, nil
}

// unmount takes the mount out of the tree of folders at once, also if programs use it.
func unmount(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == nil || err == unix.EINVAL { // nothing is mounted there
		return nil
	}
	bin, lookErr := fusermount()
	if lookErr != nil {
		return err
	}
	if out, err := exec.Command(bin, "-u", "-z", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// unmountOurs unmounts all mounts of ours on a folder, and says whether there was one.
func unmountOurs(dir string) (was bool, err error) {
	for {
		ours, err := mounted(dir)
		if err != nil || !ours {
			return was, err
		}
		if err := unmount(dir); err != nil {
			return was, err
		}
		was = true
	}
}

// mounted says that a mount of ours is on a folder. It does not touch the folder: whoever
// touches a mount that nobody serves gets an error, or waits.
func mounted(dir string) (bool, error) {
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return false, err
	}
	defer f.Close()
	ours := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		kind, _, _ := strings.Cut(after, " ")
		if len(fields) > 4 && unescape(fields[4]) == dir {
			ours = kind == fusefs.Type // the last one covers the others
		}
	}
	return ours, lines.Err()
}

// unescape replaces what the kernel writes for a space, a tab, a newline and a backslash.
func unescape(p string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(p)
}
