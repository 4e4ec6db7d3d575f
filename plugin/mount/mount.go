// Package mount is what a command line says about the files of a pod: --mount.
package mount

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// How is in which way the files of a pod come to the laptop.
type How int

// The ways.
const (
	// None: they stay in the pod.
	None How = iota
	// Auto: they are mounted, or copied where this machine cannot mount them.
	Auto
	// Copy: they are copied.
	Copy
)

// Wish is what --mount says.
type Wish struct {
	How How
	// Dir is an absolute path, or empty: then a new folder is made.
	Dir      string
	ReadOnly bool
}

// Usage describes the flag.
const Usage = "`[DIR|false|copy][:ro]`: the volumes of the container under a folder on this machine: a new one, or DIR. copy copies them instead; :ro does not let programs change them in the pod"

// Parse reads a value of --mount. The flag without a value is "true". A folder with the name
// of one of the words is ./WORD.
func Parse(value string) (Wish, error) {
	dir, readOnly := strings.CutSuffix(value, ":ro")
	w := Wish{How: Auto, ReadOnly: readOnly}
	switch dir {
	case "", "true":
		if value == "" {
			return Wish{}, errors.New("--mount has an empty value: leave out the =, or name a folder")
		}
		return w, nil
	case "false":
		if readOnly {
			return Wish{}, errors.New("--mount false:ro: false mounts nothing, so leave out :ro")
		}
		return Wish{}, nil
	case "copy":
		w.How = Copy
		return w, nil
	}
	for _, mode := range []string{":rw", ":RO", ":ro,"} {
		if strings.HasSuffix(value, mode) {
			return Wish{}, fmt.Errorf("--mount %s: the only ending is :ro; without it, programs may change the files", value)
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Wish{}, fmt.Errorf("--mount %s: %w", value, err)
	}
	w.Dir = abs
	return w, nil
}

// Folder is where the files of a container are, below the folder of the intercept. If the
// files of several containers are there, each has a folder of its own, so that paths which
// both have do not collide.
func Folder(dir, container string, several bool) string {
	if !several {
		return dir
	}
	return filepath.Join(dir, container)
}
