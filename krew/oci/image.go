// Package oci makes container images from scratch out of static binaries, without a container
// engine, and writes them as OCI layouts. The same input gives the same bytes.
package oci

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Options say what is in the image and how it starts.
type Options struct {
	Entrypoint []string
	User       string
	Platform   v1.Platform
	Labels     map[string]string
	Files      []File
}

// File is one file of the image.
type File struct {
	Source      string
	Destination string // absolute
	Mode        int64
}

// ParseFile reads SRC:DST[:MODE], with the mode in octal.
func ParseFile(s string) (File, error) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || !path.IsAbs(parts[1]) {
		return File{}, fmt.Errorf("file %q: want SRC:DST[:MODE], DST absolute", s)
	}
	f := File{Source: parts[0], Destination: path.Clean(parts[1]), Mode: 0o644}
	if len(parts) == 3 {
		mode, err := strconv.ParseInt(parts[2], 8, 64)
		if err != nil {
			return File{}, fmt.Errorf("file %q: mode: %w", s, err)
		}
		f.Mode = mode
	}
	return f, nil
}

// Build makes the image: one layer, no base, no times. The same input gives
// the same digest.
func Build(o Options) (v1.Image, error) {
	content, err := layer(o.Files)
	if err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, l); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS = o.Platform.OS
	config.Architecture = o.Platform.Architecture
	config.Variant = o.Platform.Variant
	config.Config = v1.Config{
		Entrypoint: o.Entrypoint,
		User:       o.User,
		WorkingDir: "/",
		Env:        []string{"PATH=/"},
		Labels:     o.Labels,
	}
	return mutate.ConfigFile(image, config)
}

// layer is the tar of the files and the folders above them, in the order of
// the names, owned by root.
func layer(files []File) ([]byte, error) {
	entries := map[string]*File{}
	for i, f := range files {
		if _, twice := entries[f.Destination]; twice {
			return nil, fmt.Errorf("file %s: given twice", f.Destination)
		}
		entries[f.Destination] = &files[i]
		for dir := path.Dir(f.Destination); dir != "/"; dir = path.Dir(dir) {
			if _, known := entries[dir]; !known {
				entries[dir] = nil
			}
		}
	}
	var names []string
	for name := range entries {
		names = append(names, name)
	}
	sort.Strings(names)

	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range names {
		f := entries[name]
		if f == nil {
			if err := add(w, tar.TypeDir, name[1:]+"/", 0o755, nil); err != nil {
				return nil, err
			}
			continue
		}
		data, err := os.ReadFile(f.Source)
		if err != nil {
			return nil, err
		}
		if err := add(w, tar.TypeReg, name[1:], f.Mode, data); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

func add(w *tar.Writer, kind byte, name string, mode int64, data []byte) error {
	header := &tar.Header{
		Typeflag: kind, Name: name, Mode: mode, Size: int64(len(data)),
		ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
	}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}
