// Package sbom writes the bill of materials of a release in CycloneDX 1.6: every binary, and
// the modules that are really linked into it, as the binary itself says.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Release is what the document is about.
type Release struct {
	Name     string
	Version  string // without "v"
	Homepage string
	License  string // an SPDX identifier
	Time     time.Time
}

// Binary is a program of the release.
type Binary struct {
	// Path tells it from others: the platform and the file's name.
	Path   string
	SHA256 string
	Info   *debug.BuildInfo
}

// Read reads what a binary says of itself.
func Read(path string, data []byte) (Binary, error) {
	info, err := buildinfo.Read(bytes.NewReader(data))
	if err != nil {
		return Binary{}, fmt.Errorf("read the build of %s: %w", path, err)
	}
	sum := sha256.Sum256(data)
	return Binary{Path: path, SHA256: hex.EncodeToString(sum[:]), Info: info}, nil
}

// Setting is a setting of the build, as GOOS, or "".
func (b Binary) Setting(key string) string {
	for _, s := range b.Info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

type (
	document struct {
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Serial       string       `json:"serialNumber,omitempty"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string      `json:"type"`
		Ref        string      `json:"bom-ref"`
		Name       string      `json:"name"`
		Version    string      `json:"version,omitempty"`
		Hashes     []hash      `json:"hashes,omitempty"`
		Licenses   []license   `json:"licenses,omitempty"`
		PURL       string      `json:"purl,omitempty"`
		References []reference `json:"externalReferences,omitempty"`
		Properties []property  `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	license struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	reference struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref     string   `json:"ref"`
		Depends []string `json:"dependsOn,omitempty"`
	}
)

// Write returns the document. The same binaries give the same bytes, in whatever order.
func Write(r Release, binaries []Binary) ([]byte, error) {
	binaries = slices.Clone(binaries)
	slices.SortFunc(binaries, func(a, b Binary) int { return strings.Compare(a.Path, b.Path) })
	own := license{}
	own.License.ID = r.License
	whole := component{Type: "application", Ref: r.Name, Name: r.Name, Version: r.Version, Licenses: []license{own},
		References: []reference{{"website", r.Homepage}}}
	d := document{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{r.Time.UTC().Format(time.RFC3339), whole}}
	libraries, parts := map[string]component{}, []string{}
	for i, b := range binaries {
		if i > 0 && binaries[i-1].Path == b.Path {
			return nil, fmt.Errorf("binary %s: given twice", b.Path)
		}
		d.Components = append(d.Components, component{Type: "application", Ref: b.Path, Name: b.Path, Version: r.Version,
			Hashes: []hash{{"SHA-256", b.SHA256}}, Licenses: []license{own},
			Properties: []property{{"go:os", b.Setting("GOOS")}, {"go:arch", b.Setting("GOARCH")}, {"go:package", b.Info.Path}}})
		linked := map[string]bool{}
		for _, l := range modules(b.Info) {
			libraries[l.Ref], linked[l.Ref] = l, true
		}
		d.Dependencies = append(d.Dependencies, dependency{b.Path, slices.Sorted(maps.Keys(linked))})
		parts = append(parts, b.Path)
	}
	d.Dependencies = append([]dependency{{r.Name, parts}}, d.Dependencies...)
	for _, ref := range slices.Sorted(maps.Keys(libraries)) {
		d.Components = append(d.Components, libraries[ref])
	}
	without, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	d.Serial = serial(without)
	out, err := json.MarshalIndent(d, "", "  ")
	return append(out, '\n'), err
}

// modules are the modules that a binary links, and Go's standard library.
func modules(info *debug.BuildInfo) []component {
	// "go1.26.0 X:experiment" names experiments as well.
	release, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	all := []component{library("stdlib", "v"+release, "")}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, library(m.Path, m.Version, m.Sum))
	}
	return all
}

func library(path, version, sum string) component {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	// A + in a path is a space to some readers.
	purl := "pkg:golang/" + strings.Join(segments, "/") + "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
	c := component{Type: "library", Ref: purl, Name: path, Version: version, PURL: purl}
	if sum != "" {
		c.Properties = []property{{"go:sum", sum}} // as in go.sum, which hashes a module's files
	}
	return c
}

// serial is a UUID (version 8) of the document's content, so that the same release has the
// same.
func serial(content []byte) string {
	u := sha256.Sum256(content)
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
