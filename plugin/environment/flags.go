package environment

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Flags say into which files the environment goes, as they were typed.
type Flags struct{ File, Syntax, JSON string }

// AddFlags adds the flags.
func (f *Flags) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.File, "env-file", "", "Write the container's environment to this file")
	fs.StringVar(&f.Syntax, "env-syntax", "", "Syntax of that file: "+strings.Join(Syntaxes(), ", ")+"; dotenv by default")
	fs.StringVar(&f.JSON, "env-json", "", "Write the container's environment to this file as a JSON object")
}

// ToFiles checks the flags.
func (f *Flags) ToFiles() (Files, error) {
	var files Files
	if f.Syntax != "" && f.File == "" {
		return nil, errors.New("--env-syntax is about the file of --env-file: name one")
	}
	if f.File != "" {
		syntax, err := ParseSyntax(cmp.Or(f.Syntax, "dotenv"))
		if err != nil {
			return nil, fmt.Errorf("--env-syntax: %w", err)
		}
		files = append(files, File{Flag: "--env-file", Path: f.File, Syntax: syntax})
	}
	if f.JSON != "" {
		files = append(files, File{Flag: "--env-json", Path: f.JSON, Syntax: "json"})
	}
	return files, nil
}

// File is a file into which the environment goes, and the flag that names it.
type File struct {
	Flag, Path string
	Syntax     Syntax
}

// Files are those that a command line names.
type Files []File

// Write writes all files. The warnings name the variables that a file cannot hold, and why.
func (all Files) Write(e Environment) (warnings []string, err error) {
	for _, f := range all {
		left, err := f.Syntax.WriteFile(f.Path, e)
		if err != nil {
			return warnings, fmt.Errorf("%s: %w", f.Flag, err)
		}
		for _, line := range Explain(left) {
			warnings = append(warnings, fmt.Sprintf("%s does not have %s", f.Path, line))
		}
	}
	return warnings, nil
}

// Explain returns a line for each reason: "A, B: the value is not UTF-8".
func Explain(left []LeftOut) (lines []string) {
	var reasons []string
	names := map[string][]string{}
	for _, l := range left {
		if !slices.Contains(reasons, l.Reason) {
			reasons = append(reasons, l.Reason)
		}
		names[l.Reason] = append(names[l.Reason], shown(l.Name))
	}
	for _, reason := range reasons {
		lines = append(lines, strings.Join(names[reason], ", ")+": "+reason)
	}
	return lines
}

// shown is a name for people: a container may have names with anything in them.
func shown(name string) string {
	if quoted := fmt.Sprintf("%q", name); quoted != `"`+name+`"` || strings.ContainsAny(name, " ,:") {
		return quoted
	}
	return name
}
