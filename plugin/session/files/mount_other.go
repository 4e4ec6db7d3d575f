//go:build !linux

package files

import (
	"context"
	"errors"
	"runtime"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

// Unable says why this process cannot mount.
func Unable() error {
	name := map[string]string{"darwin": "macOS", "windows": "Windows"}[runtime.GOOS]
	return errors.New("that needs Linux, and this is " + name)
}

func mountTree(context.Context, Options, *remote.Client, string) (func() error, error) {
	return nil, Unable()
}

func unmountOurs(string) (bool, error) { return false, nil }
