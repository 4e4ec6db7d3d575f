package environment

import (
	"runtime"
	"slices"
	"strings"
)

// Local lists the variables that stay this laptop's, whatever the container says. PREFIX_*
// stands for all names that begin with PREFIX_.
func Local() []string { return patterns(runtime.GOOS) }

// patterns lists the variables that say what a machine is, who uses it, and where its
// programs and their libraries are. With the container's values, the local program would
// not start.
func patterns(system string) []string {
	all := []string{
		"HOME", "HOSTNAME", "USER", "LOGNAME", "MAIL",
		"SHELL", "SHLVL", "PWD", "OLDPWD", "_",
		"TMPDIR", "TMP", "TEMP", "XDG_*",
		"TERM", "TERMINFO", "COLORTERM", "LANG", "LANGUAGE", "LC_*",
		"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK",
		"PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_*",
		"JAVA_HOME", "CLASSPATH", "GOPATH", "GOROOT", "GEM_HOME", "GEM_PATH", "NODE_PATH", "PERL5LIB", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV",
	}
	if system == "windows" {
		all = append(all,
			"ALLUSERSPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PUBLIC", "USERPROFILE",
			"COMPUTERNAME", "USERNAME", "USERDOMAIN", "USERDOMAIN_*", "LOGONSERVER", "SESSIONNAME",
			"HOMEDRIVE", "HOMEPATH", "SYSTEMDRIVE", "SYSTEMROOT", "WINDIR",
			"COMSPEC", "PATHEXT", "PSMODULEPATH", "PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432",
			"COMMONPROGRAMFILES", "COMMONPROGRAMFILES(X86)", "COMMONPROGRAMW6432",
			"OS", "NUMBER_OF_PROCESSORS", "PROCESSOR_*")
	}
	return all
}

// set is the names that patterns lists, as a system compares them.
type set struct {
	system   string
	exact    map[string]bool
	prefixes []string
}

func namesOf(system string) set {
	s := set{system: system, exact: map[string]bool{}}
	for _, name := range patterns(system) {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			s.prefixes = append(s.prefixes, prefix)
		} else {
			s.exact[folded(system, name)] = true
		}
	}
	return s
}

func (s set) has(name string) bool {
	name = folded(s.system, name)
	return s.exact[name] || slices.ContainsFunc(s.prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// folded is a name as a system compares it.
func folded(system, name string) string {
	if system == "windows" {
		return strings.ToUpper(name)
	}
	return name
}
