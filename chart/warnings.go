package chart

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// warning is an entry of files/warnings.yaml.
type warning struct {
	Path    string `json:"path"`
	Unless  string `json:"unless"`
	Message string `json:"message"`
}

// Warnings lists what there is to say about values that a user gives: spellings
// that are deprecated, and values that this version does nothing with. The
// lines are those of the chart's notes, which plain Helm prints. Values are as
// Helm merges them, of nested map[string]any.
func Warnings(values map[string]any) ([]string, error) {
	data, err := fs.ReadFile(files, "files/warnings.yaml")
	if err != nil {
		return nil, err
	}
	var known []warning
	if err := yaml.UnmarshalStrict(data, &known); err != nil {
		return nil, fmt.Errorf("read files/warnings.yaml: %w", err)
	}
	var lines []string
	for _, w := range known {
		v := at(values, w.Path)
		if set(v) && fmt.Sprint(v) != w.Unless && !slices.Contains(lines, w.Message) {
			lines = append(lines, w.Message)
		}
	}
	return lines, nil
}

// at is the value at a path of keys; nil if it is not there.
func at(values map[string]any, path string) any {
	var v any = values
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// set says whether a template takes a value for true.
func set(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return true
}
