package netd

import (
	"context"
	"embed"
	"path/filepath"
)

// daemonDir is where launchd looks for those of a machine's own.
const daemonDir = "/Library/LaunchDaemons"

// daemon is the name that launchd knows it by.
const daemon = "dev.kubectl-intercept.netd"

//go:embed launchd
var launchd embed.FS

// installDaemon lets launchd run netd from boot on, and start it again when it
// was killed: each start undoes what the one before left. launchd opens sockets
// only for programs that call its C library, so netd opens its own.
func (f *Finder) installDaemon(ctx context.Context, program string, o Owner) error {
	texts, err := fill(launchd, "launchd", o)
	if err != nil {
		return err
	}
	plist := filepath.Join(f.Units, daemon+".plist")
	script := []string{"mkdir -p " + quote(filepath.Dir(f.Installed))}
	if program != f.Installed {
		script = append(script, "install -m 0755 "+quote(program)+" "+quote(f.Installed))
	}
	return f.files(ctx, texts, func(copied string) []string {
		return append(script, copied,
			"launchctl bootout system/"+daemon+" 2>/dev/null || true",
			"while launchctl print system/"+daemon+" >/dev/null 2>&1; do sleep 1; done",
			"launchctl bootstrap system "+quote(plist))
	})
}

func (f *Finder) uninstallDaemon(ctx context.Context) (bool, error) {
	plist := filepath.Join(f.Units, daemon+".plist")
	if !exists(plist) && !exists(f.Installed) {
		return false, nil
	}
	return true, f.script(ctx, "remove a service", []string{
		"launchctl bootout system/" + daemon + " || true",
		"while launchctl print system/" + daemon + " >/dev/null 2>&1; do sleep 1; done",
		"rm -f " + quote(plist) + " " + quote(f.Installed)})
}
