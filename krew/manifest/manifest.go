// Package manifest fills in the template of the plugin's krew manifest as krew-release-bot
// does, but with archives on this machine.
package manifest

import (
	"bytes"
	"fmt"
	"path"
	"text/template"
)

// Sum returns the SHA-256 of an archive in hexadecimal. The archive is known by the last part
// of its URL.
type Sum func(file string) (string, error)

// Render fills in the template for a release. The tag begins with "v".
func Render(text, tag string, sum Sum) ([]byte, error) {
	release := struct{ TagName string }{tag}
	t := template.New("manifest").Option("missingkey=error")
	t.Funcs(template.FuncMap{
		// The address is a template itself. What stands before the function's call indents
		// the first line, and the template of krew-release-bot has platforms at four spaces.
		"addURIAndSha": func(address, tag string) (string, error) {
			a, err := template.New("address").Parse(address)
			if err != nil {
				return "", err
			}
			var uri bytes.Buffer
			if err := a.Execute(&uri, struct{ TagName string }{tag}); err != nil {
				return "", err
			}
			digest, err := sum(path.Base(uri.String()))
			if err != nil {
				return "", fmt.Errorf("sum of %s: %w", uri.String(), err)
			}
			return fmt.Sprintf("uri: %s\n    sha256: %s", uri.String(), digest), nil
		},
	})
	if _, err := t.Parse(text); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, release); err != nil {
		return nil, fmt.Errorf("fill in the template: %w", err)
	}
	return out.Bytes(), nil
}
