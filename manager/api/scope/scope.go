// Package scope is the set of namespaces in which a traffic-manager works.
package scope

import (
	"slices"
	"strings"
)

// Scope is the namespaces in which a traffic-manager works. An empty Scope means all.
type Scope []string

// Parse reads a list with commas. The empty list means all namespaces.
func Parse(list string) Scope {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// Has reports whether the traffic-manager works in a namespace.
func (s Scope) Has(namespace string) bool { return len(s) == 0 || slices.Contains(s, namespace) }

// Shared returns the namespaces in which two traffic-managers would both work. It returns
// false if there is none, so that an empty Scope means all here, too.
func (s Scope) Shared(with Scope) (Scope, bool) {
	switch {
	case len(with) == 0:
		return s, true
	case len(s) == 0:
		return with, true
	}
	var both Scope
	for _, namespace := range s {
		if with.Has(namespace) {
			both = append(both, namespace)
		}
	}
	return both, len(both) > 0
}

// String returns "all namespaces", or "namespace" and a list.
func (s Scope) String() string {
	if len(s) == 0 {
		return "all namespaces"
	}
	return "namespace " + strings.Join(s, ", ")
}
