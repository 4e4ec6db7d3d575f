//go:build linux

package fusefs

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

// Config says what to mount.
type Config struct {
	Client   *remote.Client
	Dir      string
	ReadOnly bool
	// AllowOther lets other users of this machine see the files too. Without it they belong
	// to the user of this process alone.
	AllowOther bool
}

// Type is the type of the mount, as /proc/self/mountinfo has it.
const Type = "fuse.kubectl-intercept"

// fresh is how long an attribute, a name or a list is believed. The kernel believes what it
// gets for as long again.
const fresh = 500 * time.Millisecond

// tree is what all nodes share.
type tree struct {
	c        *remote.Client
	own      volume.Tree
	uid, gid uint32 // of this process: what is the container's is shown as ours
	readOnly bool
	store    *store
}

// Mount mounts the volumes on the folder Dir, and serves them until the returned server is
// unmounted.
func Mount(ctx context.Context, c Config) (*fuse.Server, error) {
	own, err := c.Client.Tree(ctx)
	if err != nil {
		return nil, err
	}
	t := &tree{c: c.Client, own: own, uid: uint32(os.Getuid()), gid: uint32(os.Getgid()), readOnly: c.ReadOnly, store: newStore(storeSize)}
	half := fresh
	o := &fs.Options{EntryTimeout: &half, AttrTimeout: &half, NegativeTimeout: &half, NullPermissions: true,
		MountOptions: fuse.MountOptions{AllowOther: c.AllowOther, FsName: "pod", Name: "kubectl-intercept", DirectMount: true,
			MaxWrite: 1 << 20, MaxReadAhead: 1 << 20, MaxBackground: 64, DisableXAttrs: true}}
	if c.ReadOnly {
		if t.uid != 0 {
			o.Options = append(o.Options, "ro") // for fusermount
		}
		o.DirectMountFlags = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_RDONLY
	}
	return fs.Mount(c.Dir, &node{t: t}, o)
}

// await waits until something is done. It gives up some time after the program got a signal.
func await(ctx context.Context, done <-chan struct{}) syscall.Errno {
	ctx, cancel := remote.Patient(ctx)
	defer cancel()
	select {
	case <-done:
		return 0
	case <-ctx.Done():
		return syscall.EINTR
	}
}

// errno is an error for the kernel.
func errno(err error) syscall.Errno { return syscall.Errno(remote.Errno(err)) }

// gone is errno for a file that was there: the kernel then looks for its path again, in
// which a symbolic link may lead elsewhere by now. The ..data of a ConfigMap does, whenever it
// is changed.
func gone(err error) syscall.Errno {
	if e := errno(err); e != syscall.ENOENT {
		return e
	}
	return syscall.ESTALE
}

// fill shows attributes of the pod to the kernel.
func (t *tree) fill(a *volume.Attr, out *fuse.Attr) {
	out.Mode, out.Nlink, out.Rdev = a.Mode, a.Nlink, uint32(a.Rdev)
	out.Size, out.Blocks, out.Blksize = a.Size, a.Blocks, 128<<10
	out.Uid, out.Gid = a.UID, a.GID
	if a.UID == t.own.UID {
		out.Uid = t.uid
	}
	if a.GID == t.own.GID {
		out.Gid = t.gid
	}
	stamp := func(ns int64) (uint64, uint32) { return uint64(ns / 1e9), uint32(ns % 1e9) }
	out.Mtime, out.Mtimensec = stamp(a.MtimeNS)
	out.Ctime, out.Ctimensec = stamp(a.CtimeNS)
	out.Atime, out.Atimensec = stamp(a.AtimeNS)
}

// owner translates a user or group of this machine to the pod's.
func owner(id, here, there uint32) int {
	if id == here {
		return int(there)
	}
	return int(id)
}

// may says whether the container's process has the rights in mask (4 read, 2 write, 1
// execute) by a file's mode. The pod's kernel decides when the file is opened.
func (t *tree) may(a *volume.Attr, mask uint32) bool {
	if t.own.UID == 0 {
		return mask&1 == 0 || a.Is(volume.TypeDir) || a.Mode&0o111 != 0
	}
	bits := a.Mode
	groups := append([]uint32{t.own.GID}, t.own.Groups...)
	switch {
	case a.UID == t.own.UID:
		bits >>= 6
	case contains(groups, a.GID):
		bits >>= 3
	}
	return bits&mask&7 == mask&7
}

func contains(all []uint32, one uint32) bool {
	for _, n := range all {
		if n == one {
			return true
		}
	}
	return false
}
