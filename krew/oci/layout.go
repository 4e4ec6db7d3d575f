package oci

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sort"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Write stores an image as a tar of an OCI layout with this name. Several images are those of
// several platforms: the name is then that of an image index. Unlike an archive of
// `docker save`, the layout keeps the digest.
func Write(w io.Writer, name string, images ...v1.Image) error {
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	top, err := addImages(files, images)
	if err != nil {
		return err
	}
	_, tag, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
	top.Annotations = map[string]string{
		"io.containerd.image.name":          name, // for containerd
		"org.opencontainers.image.ref.name": tag,  // for everybody else
	}
	if files["index.json"], err = index(*top); err != nil {
		return err
	}
	var names []string
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	out := tar.NewWriter(w)
	for _, name := range names {
		if err := add(out, tar.TypeReg, name, 0o644, files[name]); err != nil {
			return err
		}
	}
	return out.Close()
}

func index(manifests ...v1.Descriptor) ([]byte, error) {
	return json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: manifests})
}

func blob(d v1.Hash) string { return path.Join("blobs", d.Algorithm, d.Hex) }

// addImages returns the descriptor of the image, or of the index of several, in the order of
// their platforms.
func addImages(files map[string][]byte, images []v1.Image) (*v1.Descriptor, error) {
	var all []v1.Descriptor
	for _, image := range images {
		d, err := partial.Descriptor(image)
		if err != nil {
			return nil, err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		d.Platform = config.Platform()
		if slices.ContainsFunc(all, func(o v1.Descriptor) bool { return o.Platform.Equals(*d.Platform) }) {
			return nil, fmt.Errorf("two images are for %s", d.Platform)
		}
		if err := addBlobs(files, image); err != nil {
			return nil, err
		}
		all = append(all, *d)
	}
	switch len(all) {
	case 0:
		return nil, errors.New("there is no image")
	case 1:
		return &all[0], nil
	}
	slices.SortFunc(all, func(a, b v1.Descriptor) int { return strings.Compare(a.Platform.String(), b.Platform.String()) })
	data, err := index(all...)
	if err != nil {
		return nil, err
	}
	digest, size, err := v1.SHA256(strings.NewReader(string(data)))
	if err != nil {
		return nil, err
	}
	files[blob(digest)] = data
	return &v1.Descriptor{MediaType: types.OCIImageIndex, Size: size, Digest: digest}, nil
}

func addBlobs(files map[string][]byte, image v1.Image) error {
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	files[blob(digest)] = manifest
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	if digest, err = image.ConfigName(); err != nil {
		return err
	}
	files[blob(digest)] = config
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		if digest, err = l.Digest(); err != nil {
			return err
		}
		r, err := l.Compressed()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		files[blob(digest)] = data
	}
	return nil
}
