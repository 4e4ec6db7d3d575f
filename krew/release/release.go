package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/krew/manifest"
	"github.com/kubectl-intercept/kubectl-intercept/krew/sbom"
)

// Platforms that a release is for, each GOOS_GOARCH.
func platforms() []string {
	return []string{"darwin_amd64", "darwin_arm64", "linux_amd64", "linux_arm64", "windows_amd64", "windows_arm64"}
}

const (
	product    = "kubectl-intercept"
	homepage   = "https://github.com/kubectl-intercept/kubectl-intercept"
	billName   = "sbom.cdx.json"
	sumsName   = "SHA256SUMS"
	pluginName = "intercept.yaml" // krew wants the plugin's name
)

// Options say what to pack, and where to.
type Options struct {
	Tag      string // with "v"
	Binaries string
	Output   string
	Source   string
	Registry string
	Commit   string
	Time     time.Time
	Out      io.Writer
}

// tags is what krew and Helm accept as a version.
func tags() *regexp.Regexp {
	return regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)
}

// Run writes archives, images, SBOM, manifest and, in the end, the checksums of all files in
// the folder, and prints them.
func (o *Options) Run() error {
	if !tags().MatchString(o.Tag) {
		return fmt.Errorf("version %q: want one as v1.2.3 or v1.2.3-rc.1", o.Tag)
	}
	if err := os.MkdirAll(o.Output, 0o755); err != nil {
		return err
	}
	binaries, err := o.archives()
	if err != nil {
		return err
	}
	more, err := o.images()
	if err != nil {
		return err
	}
	bill, err := sbom.Write(sbom.Release{Name: product, Version: o.version(), Homepage: homepage, License: "Apache-2.0", Time: o.Time}, append(binaries, more...))
	if err != nil {
		return err
	}
	if err := o.write(billName, bill); err != nil {
		return err
	}
	template, err := os.ReadFile(filepath.Join(o.Source, ".krew.yaml"))
	if err != nil {
		return err
	}
	rendered, err := manifest.Render(string(template), o.Tag, o.sum)
	if err != nil {
		return fmt.Errorf(".krew.yaml: %w", err)
	}
	if err := o.write(pluginName, rendered); err != nil {
		return err
	}
	return o.sums()
}

func (o *Options) version() string { return strings.TrimPrefix(o.Tag, "v") }

func (o *Options) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(o.Output, name), data, 0o644)
}

// binary reads a program and checks that it is what a release may have: built for that
// platform, the same on every machine, and without the libraries of one.
func (o *Options) binary(platform, name string) ([]byte, sbom.Binary, error) {
	data, err := os.ReadFile(filepath.Join(o.Binaries, platform, name))
	if err != nil {
		return nil, sbom.Binary{}, err
	}
	b, err := sbom.Read(platform+"/"+name, data)
	if err != nil {
		return nil, b, err
	}
	system, arch, _ := strings.Cut(platform, "_")
	for key, want := range map[string]string{"GOOS": system, "GOARCH": arch, "CGO_ENABLED": "0", "-trimpath": "true"} {
		if got := b.Setting(key); got != want {
			err = errors.Join(err, fmt.Errorf("%s was built with %s=%s, want %s", b.Path, key, got, want))
		}
	}
	return data, b, err
}
