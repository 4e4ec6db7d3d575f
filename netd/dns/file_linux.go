package dns

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/netd/journal"
)

// unfinished ends the name of a file that is being written.
const unfinished = ".intercept-new"

// mark begins our file. The sum of what follows the first line shows whether
// somebody edited it since.
const mark = handover.ConfMark

// File is a resolv.conf that can be taken over and given back.
//
// The user's own file is never without a name: it gets the second name Beside
// (a link, also of a symbolic link), and ours is renamed over the first; it
// comes back by renaming. A file that is a mount has no second name: its text
// is kept in Copy, and ours is written into it. At every moment one of the
// three holds the user's file, all of them survive a reboot, and which one it
// is can be seen: if Path is not ours, it is the user's.
type File struct {
	Path   string // /etc/resolv.conf
	Beside string // in the same folder
	Copy   string
	Lock   string // held by a living process while the file is ours
	lock   *os.File
}

// ours says that b was written by Take, and whether it is as it was then.
func ours(b []byte) (is, intact bool) {
	first, rest, _ := bytes.Cut(b, []byte("\n"))
	sum, is := bytes.CutPrefix(first, []byte(mark))
	return is, is && string(sum) == fmt.Sprintf("%x", sha256.Sum256(rest))
}

// own reads the user's file; nothing if there is none.
func (f *File) own() ([]byte, error) {
	b, err := os.ReadFile(f.Path)
	if is, _ := ours(b); is {
		if b, err = os.ReadFile(f.Beside); errors.Is(err, fs.ErrNotExist) {
			b, err = os.ReadFile(f.Copy)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Resolvers are those of the user's file.
func (f *File) Resolvers(server netip.Addr) ([]netip.AddrPort, error) {
	b, err := f.own()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path, err)
	}
	return parse(b).resolvers(server), nil
}

// hold takes the lock; handover.ErrTaken if somebody else has it.
func (f *File) hold() (err error) {
	if f.lock == nil {
		f.lock, err = journal.Lock(f.Lock)
	}
	if errors.Is(err, journal.ErrTaken) {
		return handover.ErrTaken
	}
	return err
}

// Take makes the file lead to the session's server. It may be called again,
// and then takes the file from whoever wrote it meanwhile. The error may be
// handover.ErrTaken.
func (f *File) Take(d handover.DNS) error {
	err := f.hold()
	if err == nil {
		err = f.take(d)
	}
	if err != nil {
		return fmt.Errorf("take %s over: %w", f.Path, err)
	}
	return nil
}

func (f *File) take(d handover.DNS) error {
	now, err := os.ReadFile(f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	is, intact := ours(now)
	if is && !intact {
		if err := f.keepEdited(now); err != nil {
			return err
		}
	}
	own, err := f.own()
	if err != nil {
		return err
	}
	text := fmt.Appendf(nil, "# Programs ask the cluster that kubectl intercept is connected to. Your own file\n"+
		"# comes back with kubectl intercept disconnect --all; after a crash, sudo intercept-netd undo\n%s", render(d, parse(own)))
	text = append(fmt.Appendf(nil, "%s%x\n", mark, sha256.Sum256(text)), text...)
	_, err = os.Lstat(f.Copy)
	inPlace := err == nil
	if !is {
		if inPlace, err = f.save(now); err != nil {
			return err
		}
	}
	if inPlace {
		return overwrite(f.Path, text)
	}
	return replace(f.Path, text)
}

// save gives the user's file its second name, or keeps its text if it can
// have none; then ours is to be written in place.
func (f *File) save(now []byte) (inPlace bool, err error) {
	if err := f.forget(); err != nil {
		return false, err
	}
	if _, err := os.Lstat(f.Path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	// linkat(2) does not follow symbolic links, and os.Link neither.
	err = os.Link(f.Path, f.Beside)
	for _, needsCopy := range []error{unix.EXDEV, unix.EPERM, unix.EROFS, unix.EMLINK} {
		if errors.Is(err, needsCopy) {
			return true, errors.Join(os.MkdirAll(filepath.Dir(f.Copy), 0o755), replace(f.Copy, now))
		}
	}
	return false, err
}

// Left says that there is something to restore.
func (f *File) Left() bool {
	for _, path := range []string{f.Beside, f.Copy, f.Path + unfinished, f.Copy + unfinished} {
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	b, _ := os.ReadFile(f.Path)
	is, _ := ours(b)
	return is
}

// Restore gives the file back. What somebody else has written since stays; if
// they edited ours, that is kept under another name. It does nothing if the
// file is in the hands of another living process, or was never taken.
func (f *File) Restore() error {
	err := f.hold()
	if errors.Is(err, handover.ErrTaken) {
		return nil
	}
	if err == nil {
		err = f.restore()
		f.lock.Close()
		f.lock = nil
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", f.Path, err)
	}
	return nil
}

func (f *File) restore() error {
	now, err := os.ReadFile(f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	is, intact := ours(now)
	_, err = os.Lstat(f.Path)
	if gone := errors.Is(err, fs.ErrNotExist); !is && !gone {
		return f.forget()
	} else if !intact && !gone {
		if err := f.keepEdited(now); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(f.Beside); err == nil {
		if err := os.Rename(f.Beside, f.Path); err != nil {
			return err
		}
		return f.forget()
	}
	b, err := os.ReadFile(f.Copy)
	if errors.Is(err, fs.ErrNotExist) { // there was no file
		return remove(f.Path)
	}
	if err == nil {
		err = overwrite(f.Path, b)
	}
	if err == nil {
		err = f.forget()
	}
	return err
}

// keepEdited is for who has edited our file.
func (f *File) keepEdited(b []byte) error {
	if err := replace(f.Path+".edited-while-intercepted", b); !errors.Is(err, unix.EROFS) {
		return err
	}
	return nil
}

// forget removes what was kept of the user's file, which is at its place.
func (f *File) forget() error {
	return errors.Join(remove(f.Beside), remove(f.Copy), remove(f.Path+unfinished), remove(f.Copy+unfinished))
}

func remove(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // also where nothing may be removed
	}
	return os.Remove(path)
}

// replace writes a file and gives it the name at once.
func replace(path string, b []byte) error {
	if err := remove(path + unfinished); err != nil {
		return err
	}
	// The mode is said again for umasks that forbid others to read.
	if err := errors.Join(overwrite(path+unfinished, b), os.Chmod(path+unfinished, 0o644)); err != nil {
		return err
	}
	return os.Rename(path+unfinished, path)
}

// overwrite writes into the file that is there, the mark first.
func overwrite(path string, b []byte) error {
	t, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = t.WriteAt(b, 0)
	return errors.Join(err, t.Truncate(int64(len(b))), t.Sync(), t.Close())
}
