package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/mount"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/copies"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

// Options say what to bring, and where.
type Options struct {
	// Dial opens a stream to the agent that serves the container's volumes.
	Dial remote.Dial
	// How is mount.Auto or mount.Copy.
	How mount.How
	// Dir is the folder, which is made if it is not there, and must be empty. If Dir is
	// empty, the folder is a new one.
	Dir      string
	ReadOnly bool
	// AllowOther lets other users of this machine see the files too. Only root may ask for
	// it, or everybody if /etc/fuse.conf says user_allow_other.
	AllowOther bool
	// Records is the folder with the records of the session's mounts. It is made if it is
	// not there.
	Records string
	// Limit is how many bytes are copied at most; 0 is copies.DefaultLimit.
	Limit int64
	// Wait is how long programs wait for a pod that cannot be reached; 0 is
	// remote.DefaultWait.
	Wait time.Duration
}

// Tree is the volumes of a container, on this machine. It is safe for use by several
// goroutines.
type Tree struct {
	// Dir is the folder. The container's /data is DIR/data.
	Dir string
	// Mounted says that the files are those in the pod. Else they are copies.
	Mounted bool
	// Volumes are the container's, by their paths there, and as which user they are read.
	Volumes volume.Tree
	// Notice is what to tell the user, in lines. It is empty if all is as asked for.
	Notice string

	once sync.Once
	end  func() error
	err  error
}

// Close takes the files away: it unmounts the folder, or leaves the copy where it is, since
// programs may have written to it. A folder that Start has made for a mount is removed.
func (t *Tree) Close() error {
	t.once.Do(func() { t.err = t.end() })
	return t.err
}

// Start brings the volumes. It returns when they are there.
func Start(ctx context.Context, o Options) (*Tree, error) {
	client := remote.New(o.Dial, cmp.Or(o.Wait, remote.DefaultWait))
	t, err := start(ctx, o, client)
	if err != nil {
		client.Close()
	}
	return t, err
}

func start(ctx context.Context, o Options, client *remote.Client) (*Tree, error) {
	volumes, err := client.Tree(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the volumes: %w", err)
	}
	dir, made, err := folder(o.Dir)
	if err != nil {
		return nil, err
	}
	t := &Tree{Dir: dir, Volumes: volumes}
	why := "" // a copy is what the caller wants
	if o.How == mount.Auto {
		unable := Unable()
		if unable == nil {
			if unable = t.mount(ctx, o, client, made); unable == nil {
				return t, nil
			}
		}
		why = ", since this machine cannot mount them: " + unable.Error()
	}
	result, err := copies.Copy(ctx, client, dir, copies.Options{Limit: o.Limit, ReadOnly: o.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("copy the volumes to %s: %w", dir, err)
	}
	client.Close()
	t.end = func() error { return nil }
	t.Notice = notice(dir, why, result)
	return t, nil
}

// mount mounts the volumes, with a record.
func (t *Tree) mount(ctx context.Context, o Options, client *remote.Client, made bool) error {
	r, err := newRecord(o.Records, t.Dir, made)
	if err != nil {
		return err
	}
	unmount, err := mountTree(ctx, o, client, t.Dir)
	if err != nil {
		return errors.Join(err, r.remove())
	}
	t.Mounted = true
	t.end = func() error {
		err := unmount()
		client.Close()
		if err != nil {
			return fmt.Errorf("unmount %s: %w", t.Dir, err)
		}
		return r.clear()
	}
	return nil
}

// folder returns an empty folder, and whether it was made.
func folder(dir string) (string, bool, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "intercept-")
		return dir, true, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", false, err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return dir, true, os.MkdirAll(dir, 0o755)
	case err != nil:
		return "", false, err
	case len(entries) > 0:
		return "", false, fmt.Errorf("the folder %s is not empty: name another with --mount=DIR, or empty it", dir)
	}
	return dir, false, nil
}

// shown is how many of the files that were left out are named.
const shown = 5

// notice tells what a copy is, and what is not in it.
func notice(dir, why string, r copies.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The volumes are copied to %s%s.\n", dir, why)
	b.WriteString("The copy does not follow changes in the pod, and changes of the copy do not reach the pod.\n")
	files := "files"
	if r.Files == 1 {
		files = "file"
	}
	fmt.Fprintf(&b, "%d %s, %s.", r.Files, files, copies.Size(r.Bytes))
	if len(r.Left) > 0 {
		fmt.Fprintf(&b, " Left out:")
	}
	for i, l := range r.Left {
		if i == shown {
			fmt.Fprintf(&b, "\n  and %d more", len(r.Left)-shown)
			break
		}
		fmt.Fprintf(&b, "\n  %s (%s): %s", l.Path, copies.Size(l.Size), l.Why)
	}
	return b.String() + "\n"
}
