package netd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

func TestLog(t *testing.T) {
	units := t.TempDir()
	for _, name := range []string{"intercept-netd.service", daemon + ".plist"} {
		if err := os.WriteFile(filepath.Join(units, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		f          Finder
		file, unit string
	}{
		"a service of systemd": {Finder{System: "linux", Units: units}, "", "intercept-netd.service"},
		"started by sudo":      {Finder{System: "linux", Units: t.TempDir()}, filepath.Join(handover.RunDir(), "log"), ""},
		"launchd":              {Finder{System: "darwin", Units: units}, "/var/log/intercept-netd.log", ""},
		"Windows":              {Finder{System: "windows", Installed: filepath.Join(units, "netd.exe")}, filepath.Join(units, "netd.log"), ""},
	} {
		if file, unit := test.f.Log(); filepath.ToSlash(file) != filepath.ToSlash(test.file) || unit != test.unit {
			t.Errorf("%s: %q, %q", name, file, unit)
		}
	}
}
