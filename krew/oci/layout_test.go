package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// image is one of a platform, with a program that differs from the other platforms'.
func image(t *testing.T, arch string) v1.Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(file, []byte("for "+arch), 0o600); err != nil {
		t.Fatal(err)
	}
	i, err := Build(Options{Entrypoint: []string{"/agent"}, User: "0:0", Platform: v1.Platform{OS: "linux", Architecture: arch},
		Labels: map[string]string{"org.opencontainers.image.version": "1.2.3"},
		Files:  []File{{Source: file, Destination: "/agent", Mode: 0o755}}})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// unpack unpacks a layout into a folder.
func unpack(t *testing.T, archive []byte) string {
	t.Helper()
	dir := t.TempDir()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		data, err := io.ReadAll(r)
		if err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The reader of a layout finds the index of both platforms, by the name, with every blob and
// digest in order.
func TestIndexOfPlatforms(t *testing.T) {
	amd, arm := image(t, "amd64"), image(t, "arm64")
	var one, two bytes.Buffer
	if err := errors.Join(Write(&one, "example.dev/agent:1.2.3", amd, arm), Write(&two, "example.dev/agent:1.2.3", arm, amd)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the order of the images changes the layout")
	}
	read, err := layout.ImageIndexFromPath(unpack(t, one.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(read); err != nil {
		t.Error(err)
	}
	top, err := read.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(top.Manifests) != 1 || top.Manifests[0].MediaType != types.OCIImageIndex ||
		top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "1.2.3" ||
		top.Manifests[0].Annotations["io.containerd.image.name"] != "example.dev/agent:1.2.3" {
		t.Fatalf("index.json has %+v", top.Manifests)
	}
	index, err := read.ImageIndex(top.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		i, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := i.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Platform().String() != m.Platform.String() || config.Config.Labels["org.opencontainers.image.version"] != "1.2.3" {
			t.Errorf("the image of %s has the config %+v", m.Platform, config)
		}
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(platforms, want) {
		t.Errorf("platforms %q, want %q", platforms, want)
	}
}

func TestNoIndex(t *testing.T) {
	if err := Write(io.Discard, "a:1"); err == nil {
		t.Error("a layout without an image is written")
	}
	if err := Write(io.Discard, "a:1", image(t, "arm64"), image(t, "arm64")); err == nil || !strings.Contains(err.Error(), "two images are for linux/arm64") {
		t.Errorf("got %v", err)
	}
}
