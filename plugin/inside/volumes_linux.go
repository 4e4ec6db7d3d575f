package inside

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// places are the paths at which the program sees the volumes of a container, for no other
// program of the laptop sees them there. Its methods must not run concurrently.
type places struct {
	folder string // the supervisor may write to it
	needed needed
	// views are the folders that are not the laptop's, but hold what the laptop's hold and
	// more, and those that were made in them; with the permissions that they get at last.
	// Count numbers the views.
	views map[string]os.FileMode
	count int
	bound []place
}

// place is one volume.
type place struct {
	path   string // where the container has it
	target string // the same without symbolic links of the laptop
	source string
	there  bool
}

// put shows each volume at the path where the container has it. The notices say which
// are not shown, and why.
func (p *places) put(v *Volumes) (notices []string) {
	here, err := os.Getwd()
	if err != nil {
		here = "/"
	}
	p.needed.add(here, v.Dir)
	p.views = map[string]os.FileMode{}
	paths := slices.Clone(v.Paths)
	slices.Sort(paths) // a folder comes before what is in it
	for _, at := range paths {
		if err := p.one(v.Dir, path.Clean(at)); err != nil {
			notices = append(notices, fmt.Sprintf("the volume %s is at %s alone: %v", at, filepath.Join(v.Dir, at), err))
		}
	}
	p.finish()
	// The working folder may be below a view, whose former content it still is.
	if err := os.Chdir(here); err != nil {
		notices = append(notices, fmt.Sprintf("the command begins in another folder: %v", err))
	}
	if len(p.bound) > 0 && isMount(v.Dir) {
		go p.keep(v.Dir) // ends with the process
	}
	return notices
}

func (p *places) one(dir, at string) error {
	if !path.IsAbs(at) {
		return errors.New("it is no path")
	}
	source := filepath.Join(dir, at)
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	there, rest, err := existing(at)
	if err != nil {
		return err
	}
	target := filepath.Join(there, rest)
	for _, path := range []string{at, target} {
		if err := p.needed.refuse(path); err != nil {
			return err
		}
	}
	for _, b := range p.bound {
		switch {
		case within(at, b.path):
			return nil // the volume around it shows this one too
		case within(target, b.target), within(b.target, target):
			return fmt.Errorf("on this machine, it would meet the volume %s at %s", b.path, b.target)
		}
	}
	if rest == "" {
		err = sameKind(target, info.IsDir())
	} else {
		err = p.make(there, rest, info.IsDir())
	}
	if err == nil {
		err = bind(source, target)
	}
	if err == nil {
		p.bound = append(p.bound, place{path: at, target: target, source: source, there: true})
	}
	return err
}

// sameKind is an error if a path of the laptop is a folder and the volume is not, or the
// other way round.
func sameKind(at string, dir bool) error {
	info, err := os.Stat(at)
	switch {
	case err != nil:
		return err
	case info.IsDir() && !dir:
		return errors.New("it is a file, and this machine has a folder there")
	case !info.IsDir() && dir:
		return errors.New("this machine has a file there")
	}
	return nil
}

// existing splits a path into what the laptop has of it, without symbolic links, and the
// rest.
func existing(at string) (there, rest string, err error) {
	there = "/"
	for at, rest = path.Clean(at), ""; ; at, rest = path.Dir(at), path.Join(path.Base(at), rest) {
		there, err = filepath.EvalSymlinks(at)
		if err == nil || !errors.Is(err, os.ErrNotExist) || at == "/" {
			return there, rest, err
		}
		if _, lerr := os.Lstat(at); lerr == nil {
			return "", "", fmt.Errorf("%s is a symbolic link that leads nowhere", at)
		}
	}
}

// keep shows the volumes again after another session process has mounted them anew.
func (p *places) keep(dir string) {
	for {
		time.Sleep(checkInterval)
		if !isMount(dir) {
			continue // the next process has not mounted them yet
		}
		now := fileSystem(dir)
		for n := range p.bound {
			b := &p.bound[n]
			if b.there && fileSystem(b.target) == now {
				continue
			}
			if b.there {
				_ = unix.Unmount(b.target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) // bind covers it otherwise
			}
			b.there = bind(b.source, b.target) == nil // on an error, the next round tries again
		}
	}
}

// isMount says that something is mounted on a folder.
func isMount(dir string) bool {
	in, on := fileSystem(filepath.Dir(dir)), fileSystem(dir)
	return on != 0 && on != in
}

// fileSystem returns the number of the file system of a path; 0 if there is none. It does not
// ask the pod, which may not answer.
func fileSystem(at string) uint64 {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, at, unix.AT_STATX_DONT_SYNC|unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &s); err != nil {
		return 0
	}
	return unix.Mkdev(s.Dev_major, s.Dev_minor)
}
