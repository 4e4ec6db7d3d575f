package inside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxEntries is how many entries a folder may have that a view is made of.
const maxEntries = 4096

// make makes a folder, or a file, in a folder that the laptop has, for the program alone.
func (p *places) make(there, rest string, dir bool) error {
	if info, err := os.Stat(there); err != nil || !info.IsDir() {
		return errors.Join(fmt.Errorf("%s is no folder on this machine", there), err)
	}
	if _, ours := p.views[there]; !ours {
		if err := p.view(there); err != nil {
			return err
		}
	}
	names := strings.Split(rest, "/")
	for n, name := range names {
		there = filepath.Join(there, name)
		if n == len(names)-1 && !dir {
			return os.WriteFile(there, nil, 0o644)
		}
		if err := os.Mkdir(there, 0o755); err != nil {
			return err
		}
		p.views[there] = 0o755
	}
	return nil
}

// view puts a folder of our own in the place of one of the laptop's, with all that this one
// has. What the laptop makes there later does not appear, and what the program makes directly
// in it is the program's alone. So a view is not for folders in which users work.
func (p *places) view(of string) error {
	var st unix.Stat_t
	if err := unix.Stat(of, &st); err != nil {
		return err
	}
	if st.Mode&0o002 != 0 || int(st.Uid) == os.Geteuid() && st.Uid != 0 {
		return fmt.Errorf("this machine has no such folder in %s, and programs work there", of)
	}
	entries, err := os.ReadDir(of)
	if err != nil {
		return err
	}
	if len(entries) > maxEntries {
		return fmt.Errorf("this machine has no such folder in %s, which has %d entries, and is too large to be shown with one more", of, len(entries))
	}
	p.count++
	tmp := filepath.Join(p.folder, fmt.Sprintf("view-%d", p.count))
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", tmp, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount a folder in memory: %w", err)
	}
	err = fill(tmp, of, entries)
	if err == nil {
		err = install(tmp, of)
	}
	if err != nil {
		_ = unix.Unmount(tmp, unix.MNT_DETACH) // it does no harm where it is
		return fmt.Errorf("show %s with one folder more: %w", of, err)
	}
	p.views[of] = os.FileMode(st.Mode & 0o777)
	return nil
}

// finish gives views the permissions of the laptop's folders. There, a user other than root
// may not make anything.
func (p *places) finish() {
	for at, mode := range p.views {
		if os.Geteuid() != 0 {
			mode &^= 0o222
		}
		_ = os.Chmod(at, mode) // otherwise the program can make files that nobody else sees
	}
}

// fill shows in an empty folder all that another one has.
func fill(tmp, of string, entries []os.DirEntry) error {
	// Otherwise the view of a folder above would hold itself.
	if err := unix.Mount("", tmp, "", unix.MS_UNBINDABLE, ""); err != nil {
		return err
	}
	for _, e := range entries {
		from, to := filepath.Join(of, e.Name()), filepath.Join(tmp, e.Name())
		if err := show(from, to, e.Type()); err != nil && !errors.Is(err, os.ErrNotExist) { // it may have gone meanwhile
			return fmt.Errorf("%s: %w", from, err)
		}
	}
	return unix.Mount("", tmp, "", unix.MS_PRIVATE, "")
}

func show(from, to string, kind os.FileMode) error {
	if kind&os.ModeSymlink != 0 {
		where, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(where, to)
	}
	if kind.IsDir() {
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
	} else if err := os.WriteFile(to, nil, 0o644); err != nil {
		return err
	}
	return unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
}

// install moves a view to where the folder is that it is of.
func install(tmp, of string) error {
	if of != "/" {
		return unix.Mount(tmp, of, "", unix.MS_MOVE, "")
	}
	// A mount on the root folder would cover nothing: processes are below it already.
	const former = ".former"
	if err := os.Mkdir(filepath.Join(tmp, former), 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(tmp, filepath.Join(tmp, former)); err != nil {
		return fmt.Errorf("change the root folder: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/"+former, unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Remove("/" + former)
}
