package environment

import (
	"regexp"
	"slices"
	"strings"
)

// sh writes for shells of the Bourne family: within '…' all is literal.
func sh(keyword string) func(name, value string) (line, reason string) {
	return func(name, value string) (line, reason string) {
		if slices.Contains(reservedBySh(), name) || strings.HasPrefix(name, "BASH_") {
			return "", "shells keep the name for themselves"
		}
		return keyword + name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'", ""
	}
}

// reservedBySh lists the variables to which bash or zsh refuse an assignment, or forget it.
func reservedBySh() []string {
	return []string{
		"UID", "EUID", "GID", "EGID", "USERNAME", "PPID", "GROUPS", "_",
		"BASHOPTS", "SHELLOPTS", "BASHPID", "FUNCNAME", "DIRSTACK",
		"RANDOM", "SRANDOM", "SECONDS", "EPOCHSECONDS", "EPOCHREALTIME", "LINENO", "HISTCMD",
		"ARGC", "TTYIDLE", "ZSH_SUBSHELL", "ZSH_EVAL_CONTEXT",
		"argv", "path", "cdpath", "fpath", "manpath", "mailpath", "module_path", "fignore", "psvar", "watch",
		"status", "pipestatus", "signals", "options", "aliases", "functions", "commands", "parameters", "history",
	}
}

// csh quotes a value for csh and tcsh. Within '…' all is literal but history, which begins
// with !, and a line break.
func csh(value string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `\!`, "\n", "\\\n").Replace(value) + "'"
}

func cshSetenv(name, value string) (line, reason string) {
	return "setenv " + name + " " + csh(value), ""
}

func cshSet(name, value string) (line, reason string) {
	if strings.ToLower(name) == name && !strings.Contains(name, "_") || name == "_" {
		return "", "csh gives names in lower case a meaning of its own: use csh:export"
	}
	return "set " + name + "=" + csh(value), ""
}

// powershell writes for PowerShell: within '…' all is literal but quotes, which are doubled.
// It takes typographic quotes for quotes. Before 7.5 it removes a variable from the
// environment that is set to nothing.
func powershell(drive string) func(name, value string) (line, reason string) {
	return func(name, value string) (line, reason string) {
		if drive == "" && slices.Contains(reservedByPowerShell(), strings.ToLower(name)) {
			return "", "PowerShell keeps the name for itself: use ps:export"
		}
		variable := "$" + drive + name
		if strings.ContainsAny(name, ".-") {
			variable = "${" + drive + name + "}"
		}
		quotes := regexp.MustCompile("['‘’‚‛]")
		return variable + " = '" + quotes.ReplaceAllString(value, "$0$0") + "'", ""
	}
}

// reservedByPowerShell lists the variables to which PowerShell refuses an assignment, or
// forgets it. Their case does not matter.
func reservedByPowerShell() []string {
	return []string{
		"true", "false", "null", "error", "executioncontext", "home", "host", "pid", "shellid", "_",
		"pscommandpath", "psculture", "psedition", "pshome", "psscriptroot", "psuiculture", "psversiontable",
		"iscoreclr", "islinux", "ismacos", "iswindows", "enabledexperimentalfeatures",
		"args", "input", "this", "myinvocation", "psboundparameters", "psitem", "lastexitcode", "stacktrace",
	}
}

// longest is how many characters cmd reads of a line.
const longest = 8191

// cmd writes for a batch file of Windows' cmd. % is doubled. A quote begins and ends a part
// in which & | < > ^ are literal; outside of it each has ^ before it. set takes what is
// between the first quote of the line and the last.
func cmd(name, value string) (line, reason string) {
	if strings.ContainsAny(value, "\r\n\x1a") {
		return "", "cmd's variables have no line breaks"
	}
	var b strings.Builder
	b.WriteString(`@set "` + name + "=")
	quoted := true
	for _, r := range value {
		switch {
		case r == '"':
			quoted = !quoted
		case r == '%':
			b.WriteByte('%')
		case !quoted && strings.ContainsRune("&|<>^()", r):
			b.WriteByte('^')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	if b.Len() > longest {
		return "", "cmd has no lines of more than 8191 characters"
	}
	return b.String(), ""
}
