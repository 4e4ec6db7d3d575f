package manifest

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// The template of the repository names an archive for every platform, under the address that
// a release has, and becomes a manifest without a trace of the template.
func TestTemplate(t *testing.T) {
	text, err := os.ReadFile("../../.krew.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	got, err := Render(string(text), "v1.2.3", func(file string) (string, error) {
		asked[file] = true
		return "sum-of-" + file, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	manifest := string(got)
	if strings.Contains(manifest, "{{") || !strings.Contains(manifest, "\n  version: v1.2.3\n") {
		t.Errorf("got\n%s", manifest)
	}
	for _, platform := range []string{"linux amd64 .tar.gz", "linux arm64 .tar.gz", "darwin amd64 .tar.gz", "darwin arm64 .tar.gz", "windows amd64 .zip", "windows arm64 .zip"} {
		p := strings.Fields(platform)
		file, bin := "kubectl-intercept_"+p[0]+"_"+p[1]+p[2], "kubectl-intercept"
		if p[0] == "windows" {
			bin += ".exe"
		}
		want := "  - selector: {matchLabels: {os: " + p[0] + ", arch: " + p[1] + "}}\n" +
			"    uri: https://github.com/kubectl-intercept/kubectl-intercept/releases/download/v1.2.3/" + file + "\n" +
			"    sha256: sum-of-" + file + "\n    bin: " + bin + "\n"
		if !asked[file] || strings.Count(manifest, want) != 1 {
			t.Errorf("want\n%sin\n%s", want, manifest)
		}
	}
	if len(asked) != 6 {
		t.Errorf("asked for %v", asked)
	}
}

func TestErrors(t *testing.T) {
	none := func(string) (string, error) { return "", errors.New("there is none") }
	for text, want := range map[string]string{
		"{{ .TagName":                          "read the template: ",
		"{{ .Tag }}":                           "fill in the template: ",
		`{{addURIAndSha "a/b.zip" .TagName}}`:  "sum of a/b.zip: there is none",
		`{{addURIAndSha "{{.Tag}}" .TagName}}`: "fill in the template: ",
		`{{addURIAndSha "{{" .TagName}}`:       "fill in the template: ",
	} {
		if _, err := Render(text, "v1.2.3", none); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
