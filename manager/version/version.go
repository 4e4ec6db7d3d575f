// Package version is the one place that knows which release this is.
package version

import "runtime/debug"

// Version of the product, of its chart and of its images.
const Version = "0.1.0"

// Commit is the revision the binary was built from, or "" when unknown.
func Commit() string {
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
