package chart

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"

	"sigs.k8s.io/yaml"
)

// ArchiveName is the name that Helm gives the packaged chart,
// "traffic-manager-0.1.0.tgz".
func ArchiveName() (string, error) {
	name, version, err := identity()
	return fmt.Sprintf("%s-%s.tgz", name, version), err
}

// Archive writes the chart as `helm package` does, with two differences: the
// same files give the same bytes, and every file stays as it is.
func Archive(w io.Writer) error {
	name, _, err := identity()
	if err != nil {
		return err
	}
	zipped, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	out := tar.NewWriter(zipped)
	// WalkDir goes in the order of names; Helm wants Chart.yaml first.
	if err := add(out, name, identified); err != nil {
		return err
	}
	err = fs.WalkDir(FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == identified {
			return err
		}
		return add(out, name, path)
	})
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

func add(out *tar.Writer, name, path string) error {
	data, err := fs.ReadFile(FS(), path)
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name + "/" + path, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatUSTAR}
	if err := out.WriteHeader(header); err != nil {
		return fmt.Errorf("pack %s: %w", path, err)
	}
	_, err = out.Write(data)
	return err
}

// identity is what Chart.yaml says the chart is.
func identity() (name, version string, err error) {
	data, err := fs.ReadFile(FS(), identified)
	if err != nil {
		return "", "", err
	}
	var meta struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if err := yaml.Unmarshal(data, &meta); err != nil {
		return "", "", fmt.Errorf("read Chart.yaml: %w", err)
	}
	return meta.Name, meta.Version, nil
}
