package helm

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/kubectl-intercept/kubectl-intercept/chart"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Effective are the values that the chart is rendered with: those that are set
// now, those of an earlier revision that are kept, and the defaults. They are
// checked as Helm checks them, with the way out where there is one. earlier is
// nil for an install.
func (o Options) Effective(earlier *Release) (map[string]any, error) {
	given := overlay(nil, o.Values)
	if earlier != nil {
		switch {
		case o.Reuse == ReuseOverReset:
			given = chartutil.CoalesceTables(given, overlay(nil, earlier.config))
		case o.Reuse == ReuseAll:
			given = chartutil.CoalesceTables(given, overlay(earlier.config, earlier.defaults))
		case o.Reuse == ReuseDefault && len(given) == 0:
			given = overlay(nil, earlier.config)
		}
	}
	c := *o.Chart.chart
	c.Values = overlay(nil, o.Chart.defaults)
	values, err := chartutil.CoalesceValues(&c, given)
	if err != nil {
		return nil, fmt.Errorf("merge values: %w", err)
	}
	if err := chartutil.ValidateAgainstSchema(&c, values); err != nil {
		return nil, o.Chart.explainValues(err)
	}
	return values, nil
}

// Warnings are sentences about the chart and the effective values that a person
// should read before they are applied.
func (o Options) Warnings(values map[string]any) ([]string, error) {
	out, err := chart.Warnings(values)
	if err != nil {
		return nil, err
	}
	if o.Chart.chart.Metadata.Deprecated {
		out = append(out, fmt.Sprintf("the chart of %s %s is deprecated", ReleaseName, o.Chart.Version()))
	}
	return out, nil
}

// Namespaces reads the value of that name; nil means all.
func Namespaces(values map[string]any) []string {
	list, _ := values["namespaces"].([]any)
	var out []string
	for _, ns := range list {
		if s, ok := ns.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// LicenseSecret is the name of a Secret that the user has to make; empty if there
// is none.
func LicenseSecret(values map[string]any) string {
	name := word(values, "license.secret.name")
	if name == "" {
		name = word(values, "licenseKey.secret.name")
	}
	if word(values, "license.key") != "" || word(values, "licenseKey.value") != "" {
		return ""
	}
	return name
}

// word is the string at a path with dots; empty if there is none.
func word(values chartutil.Values, path string) string {
	v, _ := values.PathValue(path) // without one it is no string
	s, _ := v.(string)
	return s
}

// explainValues puts the schema's complaints into words, one a line.
func (c *Chart) explainValues(err error) error {
	unknown := regexp.MustCompile(`^- at '([^']*)': additional properties (.*) not allowed$`)
	wrong := regexp.MustCompile(`^- at '([^']+)': got (number|boolean), want string$`)
	other := regexp.MustCompile(`^- at '([^']+)': (.*)$`)
	var lines []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if m := unknown.FindStringSubmatch(line); m != nil {
			for name := range strings.SplitSeq(m[2], ", ") {
				lines = append(lines, c.unknownValue(m[1], strings.Trim(name, "'")))
			}
		} else if m := wrong.FindStringSubmatch(line); m != nil {
			path := dotted(m[1])
			lines = append(lines, fmt.Sprintf("%s is a string, and this is a %s: use --set-string %s=…, or quotes in a file", path, m[2], path))
		} else if m := other.FindStringSubmatch(line); m != nil {
			lines = append(lines, dotted(m[1])+": "+m[2])
		} else if strings.HasPrefix(line, "- at ") {
			lines = append(lines, strings.TrimPrefix(line, "- "))
		}
	}
	if len(lines) == 0 {
		return err
	}
	return errors.New("invalid values: " + strings.Join(lines, "\ninvalid values: "))
}

// unknownValue says that the chart has no such value below a JSON pointer, and
// what there is.
func (c *Chart) unknownValue(pointer, name string) string {
	level, prefix := c.defaults, ""
	if pointer != "" {
		prefix = dotted(pointer) + "."
		for key := range strings.SplitSeq(dotted(pointer), ".") {
			level, _ = level[key].(map[string]any)
		}
	}
	var keys []string
	for key := range level {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	s := fmt.Sprintf("there is no value %s%s", prefix, name)
	if near := target.Near(name, keys); len(near) > 0 {
		s += "; did you mean " + prefix + strings.Join(near, " or "+prefix) + "?"
	}
	return s
}

// dotted makes the path that --set takes out of a JSON pointer.
func dotted(pointer string) string {
	return strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", ".")
}
