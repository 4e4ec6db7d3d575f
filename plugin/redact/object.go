package redact

import (
	"regexp"
	"strings"
)

// Object takes secrets out of a Kubernetes object, as JSON decodes it. It changes v, and
// returns it. Names stay, and so do references to Secrets.
func Object(v any) any {
	switch v := v.(type) {
	case map[string]any:
		object(v)
		return v
	case []any:
		for n := range v {
			v[n] = Object(v[n])
		}
		return v
	case string:
		return Text(v)
	}
	return v
}

// ours are the containers whose command lines have no secrets.
var ours = regexp.MustCompile(`^traffic-(manager|agent)(-[0-9]+)?$`)

func object(o map[string]any) {
	delete(o, "managedFields")
	name, named := o["name"].(string)
	for key, v := range o {
		text, isText := v.(string)
		switch {
		case named && (key == "value" || key == "regexp"): // of a variable, a header, a condition
			o[key] = Mark
		case key == "annotations":
			o[key] = annotations(v)
		case (key == "command" || key == "args") && !ours.MatchString(name):
			o[key] = Mark
		case key == "data" || key == "stringData" || key == "binaryData" || key == "volumeAttributes" || key == "options":
			o[key] = values(v)
		case isText && text != "" && Secret(key):
			o[key] = Mark
		default:
			o[key] = Object(v)
		}
	}
}

// values keeps the keys of a map, and takes out what they stand for.
func values(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return Object(v)
	}
	for key := range m {
		m[key] = Mark
	}
	return m
}

// known are the ends of domains whose annotations are about how a pod runs.
var known = regexp.MustCompile(`(^|\.)(kubectl-intercept\.dev|kubernetes\.io|k8s\.io|istio\.io|linkerd\.io|argoproj\.io|helm\.sh)$`)

// lastApplied is the whole object again, as it was typed.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// annotations keeps the values of known ones.
func annotations(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return Object(v)
	}
	for key, v := range m {
		domain, _, _ := strings.Cut(key, "/")
		text, isText := v.(string)
		if key == lastApplied || !known.MatchString(domain) || !isText {
			m[key] = Mark
			continue
		}
		m[key] = Text(text)
	}
	return m
}
