package state

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// maxSocketPath is the longest path that fits every system's sockaddr_un with its final
// zero.
const maxSocketPath = 103

// Dir is the directory of one session. Only the user can enter it. It has many short methods,
// because it alone knows the names of the files in the directory.
type Dir struct {
	path, socket string
}

// Open returns the directory of the session called key. It makes the directory if it does
// not exist.
func Open(key string) (*Dir, error) {
	parent, err := parentDir()
	if err != nil {
		return nil, err
	}
	return OpenIn(parent, key)
}

// List returns the directories of all sessions of this user. There are none if the user has
// no cache directory.
func List() ([]*Dir, error) {
	parent, err := parentDir()
	if err != nil {
		return nil, nil
	}
	return ListIn(parent)
}

// ListIn is List for sessions in another directory than the cache directory.
func ListIn(parent string) ([]*Dir, error) {
	entries, err := os.ReadDir(parent)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for sessions: %w", err)
	}
	var dirs []*Dir
	for _, e := range entries {
		if _, err := os.Lstat(filepath.Join(parent, e.Name(), lockFile)); err != nil {
			continue // no session was ever there
		}
		if d, err := OpenIn(parent, e.Name()); err == nil { // else it is not this user's
			dirs = append(dirs, d)
		}
	}
	return dirs, nil
}

// OpenIn is Open for a session in another directory than the cache directory.
func OpenIn(parent, key string) (*Dir, error) {
	d := &Dir{path: filepath.Join(parent, key)}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, unusable(d.path, err)
	}
	if err := private(d.path); err != nil {
		return nil, err
	}
	d.socket = filepath.Join(d.path, "session.sock")
	if len(d.socket) <= maxSocketPath {
		return d, nil
	}
	short, err := temporary()
	if err != nil {
		return nil, fmt.Errorf("make the directory of the session's socket: %w", err)
	}
	sum := sha256.Sum256([]byte(d.path))
	d.socket = filepath.Join(short, hex.EncodeToString(sum[:6])+".sock")
	return d, nil
}

// Siblings returns the directories of all sessions in the same parent directory, including
// this one.
func (d *Dir) Siblings() ([]*Dir, error) { return ListIn(filepath.Dir(d.path)) }

// Path returns the path of the directory.
func (d *Dir) Path() string { return d.path }

// Socket returns the path of the unix socket, which fits a sockaddr_un.
func (d *Dir) Socket() string { return d.socket }

// Log returns the path of the log file.
func (d *Dir) Log() string { return filepath.Join(d.path, "session.log") }

func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

// maxLog is the size, in bytes, above which OpenLog renames a log.
const maxLog = 5 << 20

// OpenLog opens the log for appending. It renames a large log first.
func (d *Dir) OpenLog() (*os.File, error) {
	if info, err := os.Stat(d.Log()); err == nil && info.Size() > maxLog {
		// If the rename fails, the log goes on growing.
		_ = os.Rename(d.Log(), d.Log()+".1")
	}
	f, err := os.OpenFile(d.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, unusable(d.Log(), err)
	}
	return f, nil
}
