package netd

import (
	"path/filepath"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// Log says where intercept-netd logs: in a file, or in the journal of a unit of systemd.
func (f *Finder) Log() (file, unit string) {
	switch {
	case f.System == "darwin" && exists(filepath.Join(f.Units, daemon+".plist")):
		return "/var/log/intercept-netd.log", "" // as the daemon's description has it
	case f.System == "windows":
		return filepath.Join(filepath.Dir(f.Installed), "netd.log"), ""
	case f.System != "darwin" && exists(filepath.Join(f.Units, "intercept-netd.service")):
		return "", "intercept-netd.service"
	}
	return filepath.Join(handover.RunDir(), "log"), ""
}
