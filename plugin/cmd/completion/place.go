package completion

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/complete"
)

// placer puts kubectl_complete-intercept into a folder. All of it is a symbolic link to the
// name by which kubectl finds the plugin: krew keeps that name in its bin folder, and points
// it at another version with each upgrade. Windows allows links only to some users. The
// others get a copy, which hands over to the plugin once that is another one; see
// complete.Successor.
type placer struct {
	system string // as runtime.GOOS has it
	path   string // the variable PATH
	self   string // this program
	link   func(old, new string) error
}

// placed is where the program is.
type placed struct {
	path   string
	before bool   // it was there already
	hidden string // another of its name that kubectl finds first; usually ""
}

// place puts the program into a folder; "" is the plugin's.
func (p *placer) place(dir string) (*placed, error) {
	plugin, found := p.find(p.file(complete.Plugin))
	switch {
	case dir == "" && !found:
		return nil, fmt.Errorf("no folder of PATH has %s, so kubectl does not find it either: put %s into one, and run this again; or name a folder of PATH with --dir", p.file(complete.Plugin), p.self)
	case dir == "":
		dir = filepath.Dir(plugin)
	case !found:
		plugin = p.self
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(p.folders(), func(f string) bool { return same(f, dir) }) {
		return nil, fmt.Errorf("kubectl looks for %s in the folders of PATH, and %s is none of them: add it to PATH, or name one that is with --dir", complete.Executable, dir)
	}
	out := &placed{path: filepath.Join(dir, p.file(complete.Executable))}
	there, err := os.Lstat(out.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = p.create(out.path, plugin)
	case err != nil:
	case same(out.path, plugin):
		out.before = true
	case !p.ours(out.path, there):
		return nil, fmt.Errorf("%s is there already and was not put there by kubectl intercept: remove it, and run this again", out.path)
	default:
		err = p.create(out.path, plugin)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, p.refuse(out.path, plugin)
	}
	if err != nil {
		return nil, fmt.Errorf("put %s into %s: %w", complete.Executable, dir, err)
	}
	if first, _ := p.find(p.file(complete.Executable)); !same(filepath.Dir(first), dir) {
		out.hidden = first
	}
	return out, nil
}

// create replaces the file in one step, so that a shell always finds a whole one.
func (p *placer) create(path, plugin string) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	to := plugin
	if same(filepath.Dir(plugin), filepath.Dir(path)) {
		to = filepath.Base(plugin) // the folder may be moved
	}
	err := p.link(to, next)
	if err != nil && p.system == "windows" {
		err = clone(plugin, next)
	}
	if err != nil {
		return err
	}
	return os.Rename(next, path)
}

// clone copies a program with its time, by which complete.Successor knows it.
func clone(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// ours says that the file is a link to a plugin that may be gone, or a copy.
func (p *placer) ours(path string, info fs.FileInfo) bool {
	if info.Mode()&fs.ModeSymlink == 0 {
		return p.system == "windows" && info.Mode().IsRegular()
	}
	to, err := os.Readlink(path)
	return err == nil && filepath.Base(to) == p.file(complete.Plugin)
}

// refuse says what to type instead.
func (p *placer) refuse(path, plugin string) error {
	if p.system == "windows" {
		return fmt.Errorf("you may not write into %s: run this again in a PowerShell of an administrator, or name another folder of PATH with --dir", filepath.Dir(path))
	}
	return fmt.Errorf("you may not write into %s: run\n    sudo ln -sf %s %s\nor name another folder of PATH with --dir", filepath.Dir(path), quote(plugin), quote(path))
}

// quote makes one word of a shell.
func quote(s string) string {
	if strings.ContainsAny(s, " \t\n'\"$`\\&;()<>|*?[]#~!") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// find is the first file of a name in the folders of PATH.
func (p *placer) find(name string) (string, bool) {
	for _, dir := range p.folders() {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, true
		}
	}
	return "", false
}

// folders are those of PATH in which kubectl looks: not those that depend on the working
// directory.
func (p *placer) folders() []string {
	return slices.DeleteFunc(filepath.SplitList(p.path), func(dir string) bool { return !filepath.IsAbs(dir) })
}

// file is a program's name in the file system.
func (p *placer) file(name string) string {
	if p.system == "windows" {
		return name + ".exe"
	}
	return name
}

// same says that two paths lead to one file or folder.
func same(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
