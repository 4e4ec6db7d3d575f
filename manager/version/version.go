// Package version is the one place that knows which release this is.
package version

import "runtime/debug"

// Version of the product, of its chart and of its images, without "v". It is a variable for
// the linker alone: make release sets it to the version that it is given.
var Version = "0.1.0"

// commit is the revision that make release builds. Its programs have no other record of
// that, because the record that Go makes differs between a clone and an archive of the source.
var commit string

// Commit is the revision the binary was built from, or "" when unknown.
func Commit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// UserAgent is what API server logs show.
func UserAgent() string { return "kubectl-intercept/v" + Version }
