package complete

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// Plugin is the name by which kubectl finds this program.
const Plugin = "kubectl-intercept"

// Executable is the name of the program that kubectl runs to complete the words after
// `kubectl intercept`. It is this program under a second name.
const Executable = "kubectl_complete-intercept"

// Request returns the arguments with which cobra completes, if this is a request to
// complete: because of the name under which the program was called, or because a script
// of cobra for a shell asks.
func Request(program string, args []string) ([]string, bool) {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(program)), ".exe")
	switch {
	case name == Executable && len(args) == 0:
		return []string{cobra.ShellCompRequestCmd, ""}, true
	case name == Executable:
		return append([]string{cobra.ShellCompRequestCmd}, args...), true
	case len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd):
		return args, true
	}
	return args, false
}

// Successor is the plugin that has come in the place of the one that self is a copy of: an
// upgrade replaces the plugin and leaves the copy, which then hands its requests over. It
// returns "" if self is the plugin, or a copy of it as it is now. Self is the path of this
// program.
func Successor(self string, lookPath func(string) (string, error)) string {
	ext := filepath.Ext(self)
	if strings.TrimSuffix(filepath.Base(self), ext) != Executable {
		return ""
	}
	plugin := filepath.Join(filepath.Dir(self), Plugin+ext)
	there, err := os.Stat(plugin)
	if err != nil {
		if plugin, err = lookPath(Plugin); err != nil {
			return ""
		}
		if there, err = os.Stat(plugin); err != nil {
			return ""
		}
	}
	own, err := os.Stat(self)
	if err != nil || os.SameFile(own, there) || own.Size() == there.Size() && own.ModTime().Equal(there.ModTime()) {
		return ""
	}
	return plugin
}
