package repo

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/chart"
	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
)

// A value that the manager is told and that no code reads is one of which
// install and upgrade warn.
func TestValuesHaveAnEffect(t *testing.T) {
	var code, templates strings.Builder
	list, err := fs.Glob(os.DirFS("../../chart/templates"), "*.*")
	if err != nil || len(list) == 0 {
		t.Fatal("no templates", err)
	}
	for _, name := range list {
		text, err := os.ReadFile(filepath.Join("../../chart/templates", name))
		if err != nil {
			t.Fatal(err)
		}
		if name != "config.yaml" { // which only hands on
			templates.Write(text)
		}
	}
	for _, folder := range []string{"manager", "plugin"} {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				strings.Contains(filepath.ToSlash(path), "manager/config/") || strings.HasPrefix(d.Name(), "zz_generated") {
				return err
			}
			text, err := os.ReadFile(path)
			code.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Below these keys a value has another path in the chart.
	moved := map[string]string{"serviceMesh": "trafficManager.serviceMesh", "agent.image": "agent.image.name",
		"client.openNetwork": "clientRbac.openNetwork"}
	for path, field := range leaves(reflect.TypeFor[config.Config](), "") {
		read := regexp.MustCompile(`\.`+field+`\b`).MatchString(code.String()) || strings.Contains(templates.String(), ".Values."+path+" ")
		if to := moved[path]; to != "" {
			path = to
		}
		values := map[string]any{}
		below := values
		keys := strings.Split(path, ".")
		for _, key := range keys[:len(keys)-1] {
			next := map[string]any{}
			below[key], below = next, next
		}
		below[keys[len(keys)-1]] = "something else"
		warned, err := chart.Warnings(values)
		if err != nil {
			t.Fatal(err)
		}
		if !read && len(warned) == 0 {
			t.Errorf("no code reads %s (field %s), and chart/files/warnings.yaml does not say so", path, field)
		}
	}
}

// leaves are the paths of a configuration's values, with the names of the fields.
func leaves(t reflect.Type, path string) map[string]string {
	out := map[string]string{}
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		below := strings.TrimPrefix(path+"."+key, ".")
		if f.Type.Kind() == reflect.Struct && strings.HasPrefix(f.Type.PkgPath(), "github.com/kubectl-intercept/") {
			for p, name := range leaves(f.Type, below) {
				out[p] = name
			}
			continue
		}
		out[below] = f.Name
	}
	return out
}
