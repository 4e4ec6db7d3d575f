package files

import (
	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// Filecmd makes, renames, removes and changes files.
func (h handlers) Filecmd(r *sftp.Request) error {
	at := r.Filepath
	if r.Method == "Symlink" {
		at = r.Target // SFTP's server has the link there, and where it leads in Filepath
	}
	return h.on(at, func(p place) error {
		if p.m != nil && p.m.readOnly {
			return unix.EROFS
		}
		switch r.Method {
		case "Setstat":
			return setstat(p, r)
		case "Rename":
			return h.move(p, r.Target, unix.RENAME_NOREPLACE)
		case "Link":
			return h.link(p, r.Target)
		}
		dir, name, err := p.parent()
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		switch r.Method {
		case "Mkdir":
			return unix.Mkdirat(dir, name, 0o700)
		case "Rmdir":
			return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		case "Remove":
			return unix.Unlinkat(dir, name, 0)
		case "Symlink":
			if _, ok := volume.RelativeLink(p.path, r.Filepath, h.s.tree.served); !ok {
				return unix.EACCES
			}
			return unix.Symlinkat(r.Filepath, dir, name)
		}
		return unix.ENOSYS
	})
}

// PosixRename renames a file, and replaces what has the new name.
func (h handlers) PosixRename(r *sftp.Request) error {
	return h.on(r.Filepath, func(p place) error { return h.move(p, r.Target, 0) })
}

func (h handlers) move(from place, target string, flags uint) error {
	return h.both(from, target, func(dir int, name string, newDir int, newName string) error {
		return unix.Renameat2(dir, name, newDir, newName, flags)
	})
}

func (h handlers) link(from place, target string) error {
	return h.both(from, target, func(dir int, name string, newDir int, newName string) error {
		return unix.Linkat(dir, name, newDir, newName, 0)
	})
}

// both opens the folders of two places, which must be in one mount.
func (h handlers) both(from place, target string, f func(int, string, int, string) error) error {
	to := h.s.tree.find(target)
	if from.m != nil && from.m.readOnly || to.m != nil && to.m.readOnly {
		return unix.EROFS
	}
	dir, name, err := from.parent()
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	newDir, newName, err := to.parent()
	if err != nil {
		return err
	}
	defer unix.Close(newDir)
	if from.m != to.m {
		return unix.EXDEV
	}
	return f(dir, name, newDir, newName)
}

// setstat changes what the request names, in the order in which no change takes the right to
// the next: the size, the times, the mode, the owner. It does not follow a symbolic link.
func setstat(p place, r *sftp.Request) error {
	has, want := r.AttrFlags(), r.Attributes()
	if want == nil {
		return unix.EINVAL
	}
	fd, err := p.open(unix.O_PATH | unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	a, _, err := statx(fd, "")
	if err != nil {
		return err
	}
	times := []unix.Timespec{{Sec: int64(want.Atime)}, {Sec: int64(want.Mtime)}}
	for _, e := range want.Extended {
		switch e.ExtType {
		case volume.SyncName:
			if err := syncFile(p); err != nil {
				return err
			}
		case volume.AttrName:
			precise, err := volume.DecodeAttr([]byte(e.ExtData))
			if err != nil {
				return unix.EINVAL
			}
			has.Acmodtime = true
			times = []unix.Timespec{unix.NsecToTimespec(precise.AtimeNS), unix.NsecToTimespec(precise.MtimeNS)}
		}
	}
	if has.Size {
		if err := truncate(p, want.Size); err != nil {
			return err
		}
	}
	if has.Acmodtime {
		if err := unix.UtimesNanoAt(fd, "", times, unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	}
	if has.Permissions {
		if a.Is(volume.TypeLink) {
			return unix.EOPNOTSUPP
		}
		if err := unix.Chmod(descriptor(fd), want.Mode&0o7777); err != nil {
			return err
		}
	}
	if has.UidGid {
		return unix.Fchownat(fd, "", int(int32(want.UID)), int(int32(want.GID)), unix.AT_EMPTY_PATH)
	}
	return nil
}

func truncate(p place, size uint64) error {
	fd, _, err := p.regular(unix.O_WRONLY | unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Ftruncate(fd, int64(size))
}

func syncFile(p place) error {
	fd, _, err := p.regular(unix.O_RDONLY | unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsync(fd)
}

// StatVFS says how much room a mount has.
func (h handlers) StatVFS(r *sftp.Request) (*sftp.StatVFS, error) {
	var s unix.Statfs_t
	err := h.on(r.Filepath, func(p place) error {
		fd, err := p.open(unix.O_PATH)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Fstatfs(fd, &s)
	})
	if err != nil {
		return nil, err
	}
	return &sftp.StatVFS{Bsize: uint64(s.Bsize), Frsize: uint64(s.Frsize), Blocks: s.Blocks, Bfree: s.Bfree, Bavail: s.Bavail,
		Files: s.Files, Ffree: s.Ffree, Favail: s.Ffree, Flag: uint64(s.Flags), Namemax: uint64(s.Namelen)}, nil
}
