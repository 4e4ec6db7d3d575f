package files

import (
	"path"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// list returns the entries of a folder, with their attributes and where its symbolic links
// lead. It leaves out what is mounted there and is not served.
func (s *Server) list(p place) ([]*volume.Record, error) {
	if p.m == nil {
		return s.listFolder(p)
	}
	fd, err := p.open(unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	names, err := names(fd)
	if err != nil {
		return nil, err
	}
	all := make([]*volume.Record, 0, len(names))
	for _, name := range names {
		a, mounted, err := statx(fd, name)
		if err == unix.ENOENT {
			continue // removed meanwhile
		}
		at := path.Join(p.path, name)
		if below := s.tree.find(at); mounted && below.rel != "." {
			continue
		}
		rec := &volume.Record{Name: name, Attr: a}
		switch {
		case err != nil:
			rec.Errno = uint32(number(err))
		case a.Is(volume.TypeLink):
			if target, err := readlink(fd, name); err == nil {
				rec.Link, _ = volume.RelativeLink(at, target, s.tree.served)
			}
		}
		all = append(all, rec)
	}
	return all, nil
}

// listFolder is list for a folder above the mounts.
func (s *Server) listFolder(p place) ([]*volume.Record, error) {
	if s.tree.link(p) != "" {
		return nil, unix.ENOTDIR
	}
	if s.tree.folders[p.path] == nil {
		return nil, unix.ENOENT
	}
	var all []*volume.Record
	for name := range s.tree.folders[p.path] {
		child := s.tree.find(path.Join(p.path, name))
		a, err := s.attr(child)
		if err != nil {
			continue
		}
		all = append(all, &volume.Record{Name: name, Attr: a, Link: s.tree.link(child)})
	}
	return all, nil
}

// attr returns the attributes of any place, and does not follow a symbolic link.
func (s *Server) attr(p place) (volume.Attr, error) {
	if p.m == nil {
		return s.tree.folderAttr(p)
	}
	return p.lstat()
}

// target returns where a symbolic link leads, or EACCES if that is out of what is served.
func (s *Server) target(p place) (string, error) {
	if link := s.tree.link(p); p.m == nil && link != "" {
		return link, nil
	}
	fd, err := p.open(unix.O_PATH | unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	target, err := readlink(fd, "")
	if err == unix.ENOENT {
		return "", unix.EINVAL // it is no link
	}
	if err != nil {
		return "", err
	}
	link, ok := volume.RelativeLink(p.path, target, s.tree.served)
	if !ok {
		return "", unix.EACCES
	}
	return link, nil
}

// names returns the names in an open folder.
func names(fd int) ([]string, error) {
	var all []string
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return all, err
		}
		_, _, all = unix.ParseDirent(buf[:n], -1, all)
	}
}
