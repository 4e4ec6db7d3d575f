// Package archive writes the files that people download: tar.gz, and zip for Windows. The
// same files give the same bytes, whatever their order, owners, modes and times are on disk.
package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// File is one entry of an archive, at its top.
type File struct {
	Name string
	Data []byte
	// Program says that people may run it.
	Program bool
}

func (f File) mode() fs.FileMode {
	if f.Program {
		return 0o755
	}
	return 0o644
}

// sorted returns the files in the order in which every archive has them.
func sorted(files []File) ([]File, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range files {
		switch {
		case f.Name == "" || strings.ContainsAny(f.Name, `/\`) || strings.Contains(f.Name, ".."):
			return nil, fmt.Errorf("file %q: want a plain name", f.Name)
		case i > 0 && files[i-1].Name == f.Name:
			return nil, fmt.Errorf("file %s: given twice", f.Name)
		}
	}
	return files, nil
}

// Write writes the files in the format that the archive's name ends with. Every entry has
// the time that is given.
func Write(w io.Writer, name string, at time.Time, files []File) error {
	files, err := sorted(files)
	if err != nil {
		return err
	}
	switch {
	case strings.HasSuffix(name, ".tar.gz"):
		return tarball(w, at, files)
	case strings.HasSuffix(name, ".zip"):
		return zipped(w, at, files)
	}
	return fmt.Errorf("archive %s: want .tar.gz or .zip", name)
}

// tarball writes a header for gzip without a name or a time.
func tarball(w io.Writer, at time.Time, files []File) error {
	compressed, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	out := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Mode: int64(f.mode()), Size: int64(len(f.Data)),
			ModTime: at.UTC().Truncate(time.Second), Format: tar.FormatUSTAR}
		if err := out.WriteHeader(header); err != nil {
			return fmt.Errorf("pack %s: %w", f.Name, err)
		}
		if _, err := out.Write(f.Data); err != nil {
			return fmt.Errorf("pack %s: %w", f.Name, err)
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

func zipped(w io.Writer, at time.Time, files []File) error {
	out := zip.NewWriter(w)
	out.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, f := range files {
		header := &zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: at.UTC().Truncate(time.Second)}
		header.SetMode(f.mode()) // for whoever unpacks it on another system
		entry, err := out.CreateHeader(header)
		if err != nil {
			return fmt.Errorf("pack %s: %w", f.Name, err)
		}
		if _, err := io.Copy(entry, bytes.NewReader(f.Data)); err != nil {
			return fmt.Errorf("pack %s: %w", f.Name, err)
		}
	}
	return out.Close()
}
