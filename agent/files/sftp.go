package files

import (
	"errors"
	"io"
	"os"
	"path"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/agent/openat2"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// handlers answer the requests of SFTP.
type handlers struct{ s *Server }

// fail makes an error for an SFTP client of an error of the kernel. SFTP has codes for two;
// the others are told in the text.
func fail(err error) error {
	errno := number(err)
	if err == nil || errors.Is(err, io.EOF) || errno == unix.ENOENT || errno == unix.EACCES {
		return err
	}
	return errors.New(volume.ErrorText(uint32(errno), errno.Error()))
}

// on runs f with the rights of the container's process.
func (h handlers) on(p string, f func(place) error) error {
	return fail(h.s.threads.do(func() error { return f(h.s.tree.find(p)) }))
}

// Fileread opens a file for reading.
func (h handlers) Fileread(r *sftp.Request) (io.ReaderAt, error) { return h.OpenFile(r) }

// Filewrite opens a file for writing.
func (h handlers) Filewrite(r *sftp.Request) (io.WriterAt, error) { return h.OpenFile(r) }

// OpenFile opens a file as its flags say. A new file is its owner's alone, until the client
// sets its mode.
func (h handlers) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	var f *file
	err := h.on(r.Filepath, func(p place) (err error) {
		f, err = openFile(p, r.Pflags())
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// races is how often a file is opened that others make and remove meanwhile.
const races = 64

func openFile(p place, want sftp.FileOpenFlags) (*file, error) {
	write := want.Write || want.Append || want.Creat || want.Trunc
	if write && p.m != nil && p.m.readOnly {
		return nil, unix.EROFS
	}
	flags := unix.O_RDONLY
	switch {
	case write && want.Read:
		flags = unix.O_RDWR
	case write:
		flags = unix.O_WRONLY
	}
	if want.Append {
		flags |= unix.O_APPEND
	}
	if want.Trunc {
		flags |= unix.O_TRUNC
	}
	for try := 0; ; try++ {
		if !want.Creat || !want.Excl {
			fd, _, err := p.regular(flags)
			if err == nil {
				return &file{fd: fd}, nil
			}
			if err != unix.ENOENT || !want.Creat {
				return nil, err
			}
		}
		fd, err := create(p, flags)
		if err == nil {
			return &file{fd: fd}, nil
		}
		// Somebody else made it meanwhile, so it can be opened.
		if err != unix.EEXIST || want.Excl || try == races {
			return nil, err
		}
	}
}

func create(p place, flags int) (int, error) {
	dir, name, err := p.parent()
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	return openat2.Open(dir, name, flags|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600, openat2.Beneath)
}

// file is an open file. SFTP's server closes it when no request uses it.
type file struct{ fd int }

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	n, err := pread(f.fd, b, off)
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, fail(err)
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		k, err := unix.Pwrite(f.fd, b[n:], off+int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, fail(err)
		}
		n += k
	}
	return n, nil
}

func (f *file) Close() error { return fail(unix.Close(f.fd)) }

// Filelist answers List and Stat. Stat follows symbolic links within the mount.
func (h handlers) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	var l lister
	err := h.on(r.Filepath, func(p place) error {
		if r.Method == "Stat" {
			a, err := h.s.stat(p)
			l = lister{info{path.Base(p.path), a}}
			return err
		}
		all, err := h.s.list(p)
		for _, rec := range all {
			l = append(l, info{rec.Name, rec.Attr})
		}
		return err
	})
	return l, err
}

// Lstat returns the attributes of a path, and does not follow a symbolic link.
func (h handlers) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	var a volume.Attr
	err := h.on(r.Filepath, func(p place) (err error) {
		a, err = h.s.attr(p)
		return err
	})
	return lister{info{path.Base(r.Filepath), a}}, err
}

// Readlink returns where a symbolic link leads.
func (h handlers) Readlink(p string) (string, error) {
	var link string
	err := h.on(p, func(p place) (err error) {
		link, err = h.s.target(p)
		return err
	})
	return link, err
}

func (s *Server) stat(p place) (volume.Attr, error) {
	if p.m == nil {
		return s.tree.folderAttr(p)
	}
	fd, err := p.open(unix.O_PATH)
	if err != nil {
		return volume.Attr{}, err
	}
	defer unix.Close(fd)
	a, _, err := statx(fd, "")
	return a, err
}

// lister hands entries to SFTP's server.
type lister []info

func (l lister) ListAt(to []os.FileInfo, off int64) (int, error) {
	n := 0
	for ; n < len(to) && off+int64(n) < int64(len(l)); n++ {
		to[n] = l[off+int64(n)]
	}
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}

// info shows attributes to SFTP's server.
type info struct {
	name string
	a    volume.Attr
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(i.a.Size) }
func (i info) ModTime() time.Time { return time.Unix(0, i.a.MtimeNS) }
func (i info) IsDir() bool        { return i.a.Is(volume.TypeDir) }
func (i info) Sys() any           { return nil }
func (i info) Uid() uint32        { return i.a.UID }
func (i info) Gid() uint32        { return i.a.GID }
func (i info) Mode() os.FileMode  { return fileMode(i.a.Mode) }
func (i info) Extended() []sftp.StatExtended {
	return []sftp.StatExtended{{ExtType: volume.AttrName, ExtData: string(i.a.Append(nil))}}
}

// fileMode says a mode of Linux in Go's words.
func fileMode(mode uint32) os.FileMode {
	m := os.FileMode(mode & 0o777)
	for bit, is := range map[uint32]os.FileMode{unix.S_ISUID: os.ModeSetuid, unix.S_ISGID: os.ModeSetgid, unix.S_ISVTX: os.ModeSticky} {
		if mode&bit != 0 {
			m |= is
		}
	}
	return m | map[uint32]os.FileMode{unix.S_IFDIR: os.ModeDir, unix.S_IFLNK: os.ModeSymlink, unix.S_IFIFO: os.ModeNamedPipe,
		unix.S_IFSOCK: os.ModeSocket, unix.S_IFBLK: os.ModeDevice, unix.S_IFCHR: os.ModeDevice | os.ModeCharDevice}[mode&unix.S_IFMT]
}
