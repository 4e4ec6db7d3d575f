package environ

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
)

// parse reads the environment of a process: NAME=VALUE, each ended by a NUL. Of two with one
// name the first counts, as it does for getenv.
//
// Programs that show a title in ps, such as nginx and PostgreSQL, write it over their
// arguments and their environment, and fill the rest with NULs. Such an environment is not
// intact. It has what no other has: an empty string, a string without "=", or no NUL at the
// end. What remains of it is not returned: the end of an excluded variable could be taken
// for another variable. See moved for where such programs have what they still need.
func parse(raw []byte) (all process.Environment, intact bool) {
	if len(raw) == 0 {
		return nil, true
	}
	raw, terminated := bytes.CutSuffix(raw, []byte{0})
	if !terminated {
		return nil, false
	}
	seen := map[string]bool{}
	for entry := range bytes.SplitSeq(raw, []byte{0}) {
		name, value, ok := strings.Cut(string(entry), "=")
		if !ok {
			return nil, false
		}
		if name != "" && !seen[name] {
			seen[name] = true
			all = append(all, process.Variable{Name: name, Value: value})
		}
	}
	return all, true
}

// exclude returns the variables without those of some names, and these.
func exclude(all process.Environment, names []string) (kept, dropped process.Environment) {
	for _, v := range all {
		if slices.Contains(names, v.Name) {
			dropped = append(dropped, v)
		} else {
			kept = append(kept, v)
		}
	}
	return kept, dropped
}

// arguments reads a command line, in which each argument ends with a NUL.
func arguments(raw []byte) []string {
	if len(raw) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
}

// mask puts $(NAME) in the place of an excluded value, which is how a pod's spec has it
// there. A longer value comes first, since it may contain a shorter one.
func mask(args []string, dropped process.Environment) []string {
	longest := slices.SortedStableFunc(slices.Values(dropped), func(a, b process.Variable) int {
		return cmp.Compare(len(b.Value), len(a.Value))
	})
	for i := range args {
		for _, v := range longest {
			if v.Value != "" {
				args[i] = strings.ReplaceAll(args[i], v.Value, "$("+v.Name+")")
			}
		}
	}
	return args
}
