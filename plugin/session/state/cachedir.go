package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// CacheDirError says that a session cannot keep its files in the user's cache directory.
type CacheDirError struct {
	// Path is the file or directory that prevents it; "" if the user has no cache directory.
	Path string
	// Owner is the owner of Path if that is another user.
	Owner string
	Err   error
}

const setCacheHome = "set XDG_CACHE_HOME to a folder that you can write to"

// Error names the folder and tells the user what to do.
func (e *CacheDirError) Error() string {
	switch {
	case e.Path == "":
		return "there is no folder for the session, as neither HOME nor XDG_CACHE_HOME is set: set HOME to your home folder, or " + setCacheHome
	case e.Owner != "":
		return fmt.Sprintf("%s belongs to %s, and the session keeps its files there: make it yours (sudo chown -R \"$(id -u)\" %s), or %s",
			e.Path, e.Owner, e.Path, setCacheHome)
	}
	return fmt.Sprintf("the session cannot keep its files in %s (%v): make the folder writable, or %s", e.Path, e.Err, setCacheHome)
}

// Unwrap returns the error of the operating system.
func (e *CacheDirError) Unwrap() error { return e.Err }

// parentDir is the directory that holds the directories of all sessions.
func parentDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", &CacheDirError{Err: err}
	}
	return filepath.Join(cache, "kubectl-intercept"), nil
}

// Usable returns the directory in which Open makes directories, or the reason why Open
// would fail. It makes no directory.
func Usable() (path string, err error) {
	path, err = parentDir()
	if err != nil {
		return "", err
	}
	there := existing(path)
	if err := writable(there); err != nil {
		return "", unusable(there, err)
	}
	if there == path {
		return path, checkOwner(path)
	}
	return path, nil
}

// existing returns the path, or the longest part of it that exists.
func existing(path string) string {
	for {
		if _, err := os.Lstat(path); err == nil || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
}

// unusable explains an error about the file or directory at path.
func unusable(path string, err error) error {
	var in *os.PathError
	if errors.As(err, &in) && in.Err != nil {
		err = in.Err
	}
	path = existing(path)
	return &CacheDirError{Path: path, Owner: otherOwner(path), Err: err}
}
