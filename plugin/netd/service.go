package netd

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

//go:embed units
var templates embed.FS

// unitDir is where systemd looks for the units of a machine's own.
const unitDir = "/etc/systemd/system"

// Owner is who may talk to the service: a user, or the members of a group.
type Owner struct {
	User, Group string // one of them
	id          string
}

// Own finds the number of a user, or of a group if that is not "".
func Own(userName, group string) (Owner, error) {
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return Owner{}, fmt.Errorf("--group %s: there is no such group on this machine", group)
		}
		return Owner{Group: group, id: g.Gid}, nil
	}
	u, err := user.Lookup(userName)
	if err != nil {
		return Owner{}, fmt.Errorf("find user %s: %w", userName, err)
	}
	return Owner{User: userName, id: u.Uid}, nil
}

// units are the files of systemd, by their names: the socket starts the
// service, which runs from root's copy, as a plugin manager deletes the
// plugin's old folder.
func units(o Owner) (map[string]string, error) { return fill(templates, "units", o) }

// fill writes an owner into the files of a folder.
func fill(from embed.FS, folder string, o Owner) (map[string]string, error) {
	values := map[string]string{"BINARY": handover.Binary, "SOCKET": handover.ServiceSocket(),
		"UID": o.id, "GID": "-1", "OWNER": "SocketUser=" + o.User + "\nSocketMode=0600"}
	if o.Group != "" {
		values["UID"], values["GID"] = "-1", o.id
		values["OWNER"] = "SocketGroup=" + o.Group + "\nSocketMode=0660"
	}
	files, err := from.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, f := range files {
		b, err := from.ReadFile(folder + "/" + f.Name())
		if err != nil {
			return nil, err
		}
		texts[f.Name()] = os.Expand(string(b), func(name string) string { return values[name] })
	}
	return texts, nil
}

// Install makes netd a service, as root, for an owner. Again, it replaces what
// is installed.
func (f *Finder) Install(ctx context.Context, o Owner) error {
	program, err := f.Program()
	if err != nil {
		return err
	}
	switch f.System {
	case "darwin":
		err = f.installDaemon(ctx, program, o)
	case "windows":
		err = f.installWindows(ctx, program, o)
	default:
		err = f.installUnits(ctx, program, o)
	}
	if err != nil {
		return fmt.Errorf("install intercept-netd: %w", err)
	}
	return nil
}

func (f *Finder) installUnits(ctx context.Context, program string, o Owner) error {
	if err := f.systemd(); err != nil {
		return err
	}
	texts, err := units(o)
	if err != nil {
		return err
	}
	var script []string
	if program != f.Installed {
		script = append(script, "install -D -m 0755 "+quote(program)+" "+quote(f.Installed))
	}
	return f.files(ctx, texts, func(copied string) []string {
		return append(script, copied, "systemctl daemon-reload",
			"systemctl enable --quiet intercept-netd.socket intercept-netd-undo.service", "systemctl restart intercept-netd.socket")
	})
}

// files runs a script of which one line, that it is told, copies files to where
// services are looked for.
func (f *Finder) files(ctx context.Context, texts map[string]string, script func(copied string) []string) error {
	dir, err := os.MkdirTemp("", "intercept-netd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	copied := "install -m 0644"
	for _, name := range names(texts) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(texts[name]), 0o600); err != nil {
			return err
		}
		copied += " " + quote(path)
	}
	return f.script(ctx, "install a service", script(copied+" "+f.Units))
}

// Uninstall ends the service, which undoes what it has done, and removes it;
// false if there was none.
func (f *Finder) Uninstall(ctx context.Context) (was bool, err error) {
	switch f.System {
	case "darwin":
		was, err = f.uninstallDaemon(ctx)
	case "windows":
		if was = exists(f.Installed); was {
			var program string
			if program, err = f.Program(); err == nil {
				err = f.elevate(ctx, "remove a service", program, "uninstall")
			}
		}
	default:
		was, err = f.uninstallUnits(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("uninstall intercept-netd: %w", err)
	}
	return was, nil
}

func (f *Finder) uninstallUnits(ctx context.Context) (bool, error) {
	texts, err := units(Owner{})
	if err != nil {
		return false, err
	}
	all := names(texts)
	remove := "rm -f " + quote(f.Installed)
	there := exists(f.Installed)
	for _, name := range all {
		path := filepath.Join(f.Units, name)
		there = there || exists(path)
		remove += " " + path
	}
	if !there {
		return false, nil
	}
	script := []string{"systemctl disable --now --quiet " + strings.Join(all, " "), remove, "systemctl daemon-reload"}
	return true, f.script(ctx, "remove a service", script)
}

func (f *Finder) systemd() error {
	if exists(f.Booted) {
		return nil
	}
	return errors.New("this machine does not run systemd: kubectl intercept connect starts intercept-netd with sudo when it is needed")
}

// script runs lines of the shell, up to the first that fails.
func (f *Finder) script(ctx context.Context, why string, lines []string) error {
	if f.UID != 0 {
		fmt.Fprintf(f.ErrOut, "root is needed to %s. sudo runs:\n    %s\n", why, strings.Join(lines, "\n    "))
	}
	return f.root(ctx, "sh", "-ec", strings.Join(lines, "\n"))
}

func names(texts map[string]string) []string {
	var all []string
	for name := range texts {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// quote makes one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
