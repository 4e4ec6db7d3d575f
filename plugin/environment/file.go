package environment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes variables to a file that only the user can read. A file that is there is
// replaced in one step: whoever reads it meanwhile has the old content or the new. A pipe or
// a device, such as /dev/stdout, gets the content as it is.
func (s Syntax) WriteFile(path string, e Environment) ([]LeftOut, error) {
	text, left := s.Encode(e)
	if err := write(path, text); err != nil {
		return nil, fmt.Errorf("write the environment: %w", err)
	}
	return left, nil
}

func write(path string, text []byte) error {
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder: name a file", path)
	case !info.Mode().IsRegular():
		return through(path, text)
	default:
		if path, err = filepath.EvalSymlinks(path); err != nil { // a link stays one
			return err
		}
	}
	return replace(path, text)
}

// through writes to what is no file.
func through(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// replace writes a file of mode 0600 by way of another beside it.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
