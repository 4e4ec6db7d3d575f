// Package environment gives the environment of a container to programs on the laptop: directly,
// or in a file in one of several syntaxes.
package environment

import (
	"runtime"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
)

type (
	// Environment is variables in their order, each name once. Values are secrets: nothing
	// prints them by accident.
	Environment = process.Environment
	// Variable is one variable, in bytes that are not always UTF-8.
	Variable = process.Variable
)

// Added is what an intercept adds to the environment of its container. What is empty is not
// added.
type Added struct {
	// ID is the intercept's UID, Name its name.
	ID, Name string
	// Root is the local folder below which the container's volumes are mounted, and Mounts
	// are the places in the container at which they are mounted there.
	Root   string
	Mounts []string
	// Container is the name of the container in the pod.
	Container string
	// Handler is the name of the local container that handles the intercept.
	Handler string
}

// variables have our names, and those that programs know which were written for
// Telepresence.
func (a Added) variables() (e Environment) {
	for _, v := range [][2]string{
		{"INTERCEPT_ID", a.ID},
		{"INTERCEPT_NAME", a.Name},
		{"INTERCEPT_ROOT", a.Root},
		{"INTERCEPT_CONTAINER", a.Container},
		{"TELEPRESENCE_INTERCEPT_ID", a.ID},
		{"TELEPRESENCE_ROOT", a.Root},
		{"TELEPRESENCE_MOUNTS", strings.Join(a.Mounts, ":")},
		{"TELEPRESENCE_CONTAINER", a.Container},
		{"TELEPRESENCE_HANDLER_CONTAINER_NAME", a.Handler},
	} {
		if v[1] != "" {
			e = append(e, Variable{Name: v[0], Value: v[1]})
		}
	}
	return e
}

// Of returns what of a container's environment is for programs on this laptop: all but the
// names that Local lists, and what the intercept adds.
func Of(container Environment, added Added) Environment { return of(container, added, runtime.GOOS) }

func of(container Environment, added Added, system string) Environment {
	local := namesOf(system)
	e := slices.DeleteFunc(slices.Clone(container), func(v Variable) bool { return local.has(v.Name) })
	return latest(append(e, added.variables()...), system)
}

// latest leaves out variables whose names come again later. Windows takes names that differ
// in their case for one.
func latest(e Environment, system string) Environment {
	last := map[string]int{}
	for i, v := range e {
		last[folded(system, v.Name)] = i
	}
	var kept Environment
	for i, v := range e {
		if last[folded(system, v.Name)] == i {
			kept = append(kept, v)
		}
	}
	return kept
}

// Command returns the environment of a program on this laptop, for exec.Cmd: the laptop's own
// variables (os.Environ), then e. Where a name is in both, e has it.
func Command(laptop []string, e Environment) []string { return command(laptop, e, runtime.GOOS) }

func command(laptop []string, e Environment, system string) []string {
	e = latest(e, system)
	from := map[string]bool{}
	for _, v := range e {
		from[folded(system, v.Name)] = true
	}
	var all []string
	for _, entry := range laptop {
		// Windows has the folders of drives in entries such as =C:=C:\Users.
		if name, _, ok := strings.Cut(entry, "="); !ok || !from[folded(system, name)] {
			all = append(all, entry)
		}
	}
	for _, v := range e {
		all = append(all, v.Name+"="+v.Value)
	}
	return all
}
