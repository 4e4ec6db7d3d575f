//go:build linux

package fusefs

import (
	"context"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pkg/sftp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

var (
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeMkdirer   = (*node)(nil)
	_ fs.NodeUnlinker  = (*node)(nil)
	_ fs.NodeRmdirer   = (*node)(nil)
	_ fs.NodeRenamer   = (*node)(nil)
	_ fs.NodeLinker    = (*node)(nil)
	_ fs.NodeSymlinker = (*node)(nil)
)

// change changes something in the folder n, and forgets the folder's list.
func (n *node) change(ctx context.Context, p string, f func(*sftp.Client) error) syscall.Errno {
	if n.t.readOnly {
		return syscall.EROFS
	}
	err := n.t.c.Change(ctx, p, f)
	n.forget()
	return errno(err)
}

// made sets the mode of what was made at p, and returns its attributes.
func (n *node) made(ctx context.Context, p string, mode uint32) (volume.Attr, error) {
	n.forget()
	if err := n.t.c.Change(ctx, p, func(c *sftp.Client) error { return c.Chmod(p, os.FileMode(mode&0o777)|special(mode)) }); err != nil {
		return volume.Attr{}, err
	}
	return n.t.c.Lstat(ctx, p)
}

func special(mode uint32) (m os.FileMode) {
	if mode&syscall.S_ISUID != 0 {
		m |= os.ModeSetuid
	}
	if mode&syscall.S_ISGID != 0 {
		m |= os.ModeSetgid
	}
	if mode&syscall.S_ISVTX != 0 {
		m |= os.ModeSticky
	}
	return m
}

// Setattr changes the size, the mode, the owner and the times.
func (n *node) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if n.t.readOnly {
		return syscall.EROFS
	}
	p := n.path()
	n.writes.wait()
	before, e := n.attributes(ctx)
	if e != 0 {
		return e
	}
	err := n.t.c.Change(ctx, p, func(c *sftp.Client) error {
		if size, ok := in.GetSize(); ok {
			if err := c.Truncate(p, int64(size)); err != nil {
				return err
			}
		}
		if mode, ok := in.GetMode(); ok {
			if err := c.Chmod(p, os.FileMode(mode&0o777)|special(mode)); err != nil {
				return err
			}
		}
		uid, hasUID := in.GetUID()
		gid, hasGID := in.GetGID()
		if hasUID || hasGID {
			u, g := int(before.UID), int(before.GID)
			if hasUID {
				u = owner(uid, n.t.uid, n.t.own.UID)
			}
			if hasGID {
				g = owner(gid, n.t.gid, n.t.own.GID)
			}
			if err := c.Chown(p, u, g); err != nil {
				return err
			}
		}
		mtime, hasM := in.GetMTime()
		atime, hasA := in.GetATime()
		if !hasM && !hasA {
			return nil
		}
		return c.SetExtendedData(p, times(&before, mtime, hasM, atime, hasA))
	})
	n.changed()
	if err != nil {
		return gone(err)
	}
	return n.Getattr(ctx, nil, out)
}

// times are the times to set, to the nanosecond, which SFTP alone does not have.
func times(before *volume.Attr, mtime time.Time, hasM bool, atime time.Time, hasA bool) []sftp.StatExtended {
	a := volume.Attr{MtimeNS: before.MtimeNS, AtimeNS: before.AtimeNS}
	if hasM {
		a.MtimeNS = mtime.UnixNano()
	}
	if hasA {
		a.AtimeNS = atime.UnixNano()
	}
	return []sftp.StatExtended{{ExtType: volume.AttrName, ExtData: string(a.Append(nil))}}
}

func (n *node) sync(ctx context.Context) error {
	p := n.path()
	return n.t.c.Change(ctx, p, func(c *sftp.Client) error {
		return c.SetExtendedData(p, []sftp.StatExtended{{ExtType: volume.SyncName}})
	})
}

// Mkdir makes a folder.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	p := path.Join(n.path(), name)
	if e := n.change(ctx, p, func(c *sftp.Client) error { return c.Mkdir(p) }); e != 0 {
		return nil, e
	}
	a, err := n.made(ctx, p, mode)
	if err != nil {
		return nil, errno(err)
	}
	return n.adopt(ctx, name, a, out), 0
}

// Unlink removes a file.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	p := path.Join(n.path(), name)
	return n.change(ctx, p, func(c *sftp.Client) error { return c.Remove(p) })
}

// Rmdir removes a folder.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	p := path.Join(n.path(), name)
	return n.change(ctx, p, func(c *sftp.Client) error { return c.RemoveDirectory(p) })
}

// Rename renames a file or folder.
func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*node)
	if !ok || flags&^renameNoReplace != 0 {
		return syscall.EINVAL
	}
	p, target := path.Join(n.path(), name), path.Join(to.path(), newName)
	if ch := n.child(name); ch != nil {
		ch.writes.wait()
	}
	e := n.change(ctx, p, func(c *sftp.Client) error {
		if flags&renameNoReplace != 0 {
			return c.Rename(p, target)
		}
		return c.PosixRename(p, target)
	})
	to.forget()
	return e
}

// renameNoReplace is RENAME_NOREPLACE of renameat2.
const renameNoReplace = 1

// Link makes a hard link.
func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	old, ok := target.(*node)
	if !ok {
		return nil, syscall.EXDEV
	}
	from, p := old.path(), path.Join(n.path(), name)
	if e := n.change(ctx, p, func(c *sftp.Client) error { return c.Link(from, p) }); e != 0 {
		return nil, e
	}
	return n.look(ctx, name, p, out)
}

// Symlink makes a symbolic link.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	p := path.Join(n.path(), name)
	if e := n.change(ctx, p, func(c *sftp.Client) error { return c.Symlink(target, p) }); e != 0 {
		return nil, e
	}
	return n.look(ctx, name, p, out)
}

func (n *node) look(ctx context.Context, name, p string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	a, err := n.t.c.Lstat(ctx, p)
	if err != nil {
		return nil, errno(err)
	}
	return n.adopt(ctx, name, a, out), 0
}
