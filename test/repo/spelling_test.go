package repo

import (
	"regexp"
	"testing"
)

// What users read is spelled as in America.
func TestSpelling(t *testing.T) {
	british := regexp.MustCompile(`(?i)\b(\w*(?:licence|behaviour|colour|favour|honour|neighbour|catalogue|organis|recognis|authoris|initialis|artefact)\w*|enrols?|fulfils?|(?:dial|label|travel|cancel|signal)l(?:ed|ing))\b`)
	files := append([]string{"manager/README.md", "agent/README.md", "netd/README.md", "krew/README.md", "chart/values.yaml", "chart/values.schema.json",
		"chart/templates/NOTES.txt", "chart/templates/_helpers.tpl", "chart/files/warnings.yaml"}, readmes...)
	for _, name := range files {
		for _, word := range british.FindAllString(read(t, name), -1) {
			t.Errorf("%s: %q is not spelled as in America", name, word)
		}
	}
}
