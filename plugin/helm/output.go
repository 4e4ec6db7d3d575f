package helm

import (
	"fmt"
	"io"
	"reflect"

	"sigs.k8s.io/yaml"
)

// Print writes what was asked for: the manifests, the values, or one line that
// says what was done.
func (a *ApplyFlags) Print(w io.Writer, r *Release, verb string) error {
	switch a.Output {
	case "yaml":
		_, err := io.WriteString(w, r.Manifest)
		return err
	case "values":
		text, err := yaml.Marshal(r.Values)
		if err != nil {
			return fmt.Errorf("write values: %w", err)
		}
		_, err = w.Write(text)
		return err
	}
	suffix := ""
	switch DryRun(a.DryRun) {
	case DryRunServer:
		suffix = " (server dry run)"
	case DryRunClient, "true":
		suffix = " (dry run)"
	}
	_, err := fmt.Fprintf(w, "%s %s %s in namespace %s%s\n", r.Name, r.Version, verb, r.Namespace, suffix)
	return err
}

// nonDefault returns those of the values that differ from the defaults: a tree
// of its own, never nil.
func nonDefault(values, defaults map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range values {
		standard, known := defaults[key]
		below, isMap := value.(map[string]any)
		if standardBelow, ok := standard.(map[string]any); isMap && ok && len(standardBelow) > 0 {
			if rest := nonDefault(below, standardBelow); len(rest) > 0 {
				out[key] = rest
			}
			continue
		}
		if !known || !same(value, standard) {
			out[key] = value
		}
	}
	return out
}

// same compares values as YAML would write them: the 3 of --set is an int64,
// that of a file a float64.
func same(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	left, err1 := yaml.Marshal(a)
	right, err2 := yaml.Marshal(b)
	return err1 == nil && err2 == nil && string(left) == string(right)
}

// overlay returns a tree of its own with what over says, and where it is silent,
// what under says.
func overlay(over, under map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range under {
		if below, ok := value.(map[string]any); ok {
			value = overlay(nil, below)
		}
		out[key] = value
	}
	for key, value := range over {
		if below, ok := value.(map[string]any); ok {
			under, _ := out[key].(map[string]any)
			value = overlay(below, under)
		}
		out[key] = value
	}
	return out
}
