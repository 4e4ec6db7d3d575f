package cmd

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// Every verb that needs a cluster says that there is none to be found, and asks
// no other instead.
func TestNoKubeconfig(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "config")
	t.Setenv("KUBECONFIG", absent)
	for _, line := range []string{"add quote --port 8080", "list", "connect --proxy", "run --port 8080:http quote -- true", "install", "upgrade", "uninstall",
		"uninstall agent quote", "check", "check --pre", "license id", "license show"} {
		var out, errs bytes.Buffer
		streams := genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errs}
		code := Run(t.Context(), streams, strings.Fields(line))
		if code != 1 || !strings.Contains(errs.String(), "no kubeconfig found: there is no "+absent) {
			t.Errorf("%s: exit code %d, %s%s", line, code, out.String(), errs.String())
		}
	}
}
