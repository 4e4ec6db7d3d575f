package chart

import (
	"bytes"
	"io/fs"
	"regexp"
	"time"
)

// identified is the file that has the chart's version.
const identified = "Chart.yaml"

// release is the chart as a version of the product: Chart.yaml of the source has the version
// that the source has, and a release may be linked with another.
type release struct {
	fs.FS
	version string
}

// Open implements fs.FS.
func (r release) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if err != nil || name != identified {
		return f, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := r.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &file{Reader: bytes.NewReader(data), info: info}, nil
}

// ReadFile implements fs.ReadFileFS.
func (r release) ReadFile(name string) ([]byte, error) {
	data, err := fs.ReadFile(r.FS, name)
	if err == nil && name == identified {
		data = stamp(data, r.version)
	}
	return data, err
}

// stamp gives the text of Chart.yaml another version.
func stamp(data []byte, version string) []byte {
	lines := regexp.MustCompile(`(?m)^(version|appVersion): .*$`)
	return lines.ReplaceAll(data, []byte("${1}: "+version))
}

// file is a file in memory.
type file struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Close() error               { return nil }
func (f *file) Name() string               { return f.info.Name() }
func (f *file) Size() int64                { return f.Reader.Size() }
func (f *file) Mode() fs.FileMode          { return f.info.Mode() }
func (f *file) ModTime() time.Time         { return f.info.ModTime() }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }
