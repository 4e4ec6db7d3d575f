package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kubectl-intercept/kubectl-intercept/krew/archive"
	"github.com/kubectl-intercept/kubectl-intercept/krew/oci"
	"github.com/kubectl-intercept/kubectl-intercept/krew/sbom"
)

// archives packs the plugin, and intercept-netd, which it looks for beside itself, with the
// license.
func (o *Options) archives() ([]sbom.Binary, error) {
	license, err := os.ReadFile(filepath.Join(o.Source, "LICENSE"))
	if err != nil {
		return nil, err
	}
	var all []sbom.Binary
	for _, platform := range platforms() {
		files := []archive.File{{Name: "LICENSE", Data: license}}
		exe, format := "", ".tar.gz"
		if strings.HasPrefix(platform, "windows_") {
			exe, format = ".exe", ".zip"
		}
		for _, name := range []string{"kubectl-intercept", "intercept-netd"} {
			data, b, err := o.binary(platform, name+exe)
			if err != nil {
				return nil, err
			}
			all = append(all, b)
			files = append(files, archive.File{Name: name + exe, Data: data, Program: true})
		}
		name := product + "_" + platform + format
		var packed bytes.Buffer
		if err := archive.Write(&packed, name, o.Time, files); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := o.write(name, packed.Bytes()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// images packs the cluster's programs, each for all platforms of Linux under one name.
func (o *Options) images() ([]sbom.Binary, error) {
	var all []sbom.Binary
	for _, part := range []struct{ name, user string }{{"traffic-manager", "65532:65532"}, {"traffic-agent", "0:0"}} {
		var images []v1.Image
		for _, platform := range platforms() {
			arch, linux := strings.CutPrefix(platform, "linux_")
			if !linux {
				continue
			}
			_, b, err := o.binary(platform, part.name)
			if err != nil {
				return nil, err
			}
			all = append(all, b)
			image, err := oci.Build(oci.Options{
				Entrypoint: []string{"/" + part.name}, User: part.user,
				Platform: v1.Platform{OS: "linux", Architecture: arch}, Labels: o.labels(),
				Files: []oci.File{
					{Source: filepath.Join(o.Binaries, platform, part.name), Destination: "/" + part.name, Mode: 0o755},
					{Source: filepath.Join(o.Source, "LICENSE"), Destination: "/LICENSE", Mode: 0o644},
				},
			})
			if err != nil {
				return nil, fmt.Errorf("image of %s: %w", b.Path, err)
			}
			images = append(images, image)
		}
		var layout bytes.Buffer
		if err := oci.Write(&layout, o.Registry+"/"+part.name+":"+o.version(), images...); err != nil {
			return nil, fmt.Errorf("image %s: %w", part.name, err)
		}
		if err := o.write(part.name+".oci.tar", layout.Bytes()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (o *Options) labels() map[string]string {
	all := map[string]string{
		"org.opencontainers.image.source":   homepage,
		"org.opencontainers.image.version":  o.version(),
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	if o.Commit != "" {
		all["org.opencontainers.image.revision"] = o.Commit
	}
	return all
}

// sum is the SHA-256 of a file of the release.
func (o *Options) sum(name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(o.Output, name))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// sums writes the checksums of all files, as sha256sum reads them, and prints each with its
// size.
func (o *Options) sums() error {
	entries, err := os.ReadDir(o.Output) // in the order of their names
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	for _, e := range entries {
		if e.Name() == sumsName {
			continue
		}
		sum, err := o.sum(e.Name())
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%s  %s\n", sum, e.Name())
		fmt.Fprintf(o.Out, "%6.1f MB  %s\n", float64(info.Size())/1e6, e.Name())
	}
	return o.write(sumsName, lines.Bytes())
}
