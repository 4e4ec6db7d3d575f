package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// record is what a session notes of a mount before it mounts.
type record struct {
	path string
	// Dir is where the mount is. Made says that the folder was made for it.
	Dir  string `json:"dir"`
	Made bool   `json:"made,omitempty"`
}

const recordSuffix = ".mount.json"

func newRecord(folder, dir string, made bool) (*record, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(folder, "*"+recordSuffix)
	if err != nil {
		return nil, err
	}
	r := &record{path: f.Name(), Dir: dir, Made: made}
	return r, errors.Join(json.NewEncoder(f).Encode(r), f.Sync(), f.Close())
}

// remove removes the record.
func (r *record) remove() error { return os.Remove(r.path) }

// clear removes the record, and the folder that was made for the mount.
func (r *record) clear() error {
	if r.Made {
		// Somebody may have put something there meanwhile, which stays.
		_ = os.Remove(r.Dir)
	}
	return r.remove()
}

// Recover unmounts what a session has left that was killed. Records is its folder with the
// records. No session may be using it. Recover returns the folders that it has unmounted.
func Recover(records string) (unmounted []string, err error) {
	entries, err := os.ReadDir(records)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), recordSuffix) {
			continue
		}
		p := filepath.Join(records, e.Name())
		text, readErr := os.ReadFile(p)
		if readErr != nil {
			err = errors.Join(err, readErr)
			continue
		}
		r := record{}
		if json.Unmarshal(text, &r) != nil || !filepath.IsAbs(r.Dir) {
			// The session was killed while it wrote, and had not mounted yet.
			err = errors.Join(err, os.Remove(p))
			continue
		}
		r.path = p
		was, unmountErr := unmountOurs(r.Dir)
		if unmountErr != nil {
			err = errors.Join(err, fmt.Errorf("unmount %s: %w", r.Dir, unmountErr))
			continue
		}
		if was {
			unmounted = append(unmounted, r.Dir)
		}
		err = errors.Join(err, r.clear())
	}
	return unmounted, err
}
