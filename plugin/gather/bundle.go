// Package gather puts what is needed to understand a problem into one zip: logs, objects,
// versions and the outcome of the checks, without secrets.
package gather

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/redact"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// missing is the file that lists what could not be read.
const missing = "not-read.txt"

// Bundle is what was gathered. Secrets are taken out of what is added; those that become
// known later, and names, when it is written.
type Bundle struct {
	files    []File
	missing  []Missing
	secrets  redact.Values
	names    redact.Names
	nameless bool
}

// File is a file of the bundle.
type File struct {
	Name string
	text string
}

// Lines is how many lines it has.
func (f *File) Lines() int { return strings.Count(f.text, "\n") }

// Missing is a part that could not be read.
type Missing struct{ Part, Why string }

// text adds a text, unless it is empty.
func (b *Bundle) text(name, text string) {
	if text == "" {
		return
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	b.files = append(b.files, File{name, redact.Text(text)})
}

// object adds a value as YAML, without the secrets that a Kubernetes object may have.
func (b *Bundle) object(name string, v any) error {
	raw, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	var o any
	if err := yaml.Unmarshal(raw, &o); err != nil {
		return err
	}
	clean, err := yaml.Marshal(redact.Object(o))
	if err != nil {
		return err
	}
	b.files = append(b.files, File{name, string(clean)})
	return nil
}

// fail notes that a part could not be read.
func (b *Bundle) fail(part string, err error) {
	why := strings.ReplaceAll(strings.TrimSpace(render.Error(err)), "\n", "; ")
	b.missing = append(b.missing, Missing{part, redact.Text(why)})
}

// clean takes out of a text what is known by now.
func (b *Bundle) clean(text string) string {
	text = b.secrets.Replace(text)
	if b.nameless {
		text = b.names.Replace(text)
	}
	return text
}

// finish makes the files as they are written, and lists what could not be read.
func (b *Bundle) finish() {
	for n, f := range b.files {
		b.files[n] = File{b.clean(f.Name), b.clean(f.text)}
	}
	var list strings.Builder
	for n, m := range b.missing {
		m = Missing{b.clean(m.Part), b.clean(m.Why)}
		b.missing[n] = m
		fmt.Fprintf(&list, "%s: %s\n", m.Part, m.Why)
	}
	if list.Len() == 0 {
		list.WriteString("Everything was read.\n")
	}
	b.files = append(b.files, File{missing, list.String()})
}

// Files are those of the bundle.
func (b *Bundle) Files() []File { return b.files }

// Missing are the parts that could not be read.
func (b *Bundle) Missing() []Missing { return b.missing }

// Write writes the zip.
func (b *Bundle) Write(w io.Writer, now time.Time) error {
	z := zip.NewWriter(w)
	for _, f := range b.files {
		out, err := z.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: now})
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, bytes.NewBufferString(f.text)); err != nil {
			return err
		}
	}
	return z.Close()
}
