// Package process is what an agent tells a session about the first process of a container:
// its environment, and what else a local program needs to stand in for it.
package process

import (
	"fmt"
	"log/slog"
)

// Process is the first process of a container.
type Process struct {
	Environment Environment
	// Overwritten says that the process has used the memory of its environment for
	// something else, such as a title, and has kept no variable elsewhere. Environment and
	// Command are then empty.
	Overwritten bool
	// Directory is the working directory, as the container names it.
	Directory string
	Command   []string
	// UID, GID and Groups are those by which the kernel judges what the process may do.
	UID, GID uint32
	Groups   []uint32
}

// Environment is variables in their order. It is no secret which there are, but the values
// are secrets, and nothing prints them by accident.
type Environment []Variable

// Variable is one variable. Both parts are bytes as a process has them: no NUL, and not
// always UTF-8.
type Variable struct{ Name, Value string }

// Format implements fmt.Formatter, with the names alone.
func (e Environment) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.Names()) }

// LogValue implements slog.LogValuer, with the names alone.
func (e Environment) LogValue() slog.Value { return slog.AnyValue(e.Names()) }

// Format implements fmt.Formatter, with the name alone.
func (v Variable) Format(f fmt.State, _ rune) { fmt.Fprint(f, v.Name) }

// LogValue implements slog.LogValuer, with the name alone.
func (v Variable) LogValue() slog.Value { return slog.StringValue(v.Name) }

// Names are the names in their order.
func (e Environment) Names() []string {
	names := make([]string, len(e))
	for i, v := range e {
		names[i] = v.Name
	}
	return names
}

// Lookup returns the value of a name, and whether there is one.
func (e Environment) Lookup(name string) (string, bool) {
	for _, v := range e {
		if v.Name == name {
			return v.Value, true
		}
	}
	return "", false
}
