package copies

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// links makes the symbolic links. Where this machine has none, as Windows has for most users,
// what they lead to is copied once more.
func (j *job) links(links []*volume.Record) error {
	var missing []*volume.Record
	for _, rec := range links {
		switch {
		case rec.Link == "":
			j.leave(rec, "it leads out of the volumes")
		case !volume.Inside("/"+rec.Name, rec.Link):
			j.leave(rec, "it leads out of the folder")
		default:
			err := j.root.Symlink(local(rec.Link), local(rec.Name))
			if errors.Is(err, fs.ErrExist) {
				return err
			}
			if err != nil {
				missing = append(missing, rec)
			}
		}
	}
	// A link may lead to another: each round copies those whose targets are there.
	for len(missing) > 0 {
		var still []*volume.Record
		for _, rec := range missing {
			target := path.Join(path.Dir(rec.Name), rec.Link)
			if err := j.duplicate(target, rec.Name); err != nil {
				still = append(still, rec)
			}
		}
		if len(still) == len(missing) {
			for _, rec := range still {
				j.leave(rec, "this machine has no symbolic links")
			}
			return nil
		}
		missing = still
	}
	return nil
}

// duplicate copies a file or a folder of the copy.
func (j *job) duplicate(from, to string) error {
	info, err := j.root.Stat(local(from))
	if err != nil {
		return err
	}
	if !info.IsDir() {
		data, err := j.root.ReadFile(local(from))
		if err != nil {
			return err
		}
		return j.root.WriteFile(local(to), data, info.Mode().Perm()|0o600)
	}
	// The folder is not copied into itself.
	if within(to, from) {
		return &os.PathError{Op: "copy", Path: to, Err: fs.ErrInvalid}
	}
	entries, err := fs.ReadDir(j.root.FS(), from)
	if err != nil {
		return err
	}
	if err := j.root.MkdirAll(local(to), 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		if err := j.duplicate(path.Join(from, e.Name()), path.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func within(p, dir string) bool {
	return p == dir || dir == "." || len(p) > len(dir) && p[:len(dir)] == dir && p[len(dir)] == '/'
}
