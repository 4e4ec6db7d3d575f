package repo

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	load "golang.org/x/tools/go/packages"
)

// What runs on laptops is Go that compiles for macOS and Windows, its tests included. Types are
// checked from the source, which takes seconds. To compile for two more systems all that it
// imports, as go vet does, takes minutes.
func TestSystems(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	client := regexp.MustCompile(`(?m)^CLIENT := (.*)$`).FindSubmatch(makefile)
	if client == nil {
		t.Fatal("the Makefile has no line CLIENT := PACKAGES")
	}
	for _, system := range []string{"darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			all, err := load.Load(&load.Config{
				Mode:  load.NeedName | load.NeedCompiledGoFiles | load.NeedImports | load.NeedDeps | load.NeedTypes | load.NeedSyntax | load.NeedModule,
				Dir:   root,
				Env:   append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0"),
				Tests: true,
				ParseFile: func(set *token.FileSet, name string, text []byte) (*ast.File, error) {
					return parse(set, name, text, root)
				},
			}, strings.Fields(string(client[1]))...)
			if err != nil {
				t.Fatal(err)
			}
			checked := 0
			load.Visit(all, nil, func(p *load.Package) {
				if p.Module == nil || p.Module.Path != module || strings.HasSuffix(p.ID, ".test") {
					return // functions are left out, and with them the use of what they import
				}
				checked++
				for _, e := range p.Errors {
					t.Error(e)
				}
			})
			if checked == 0 {
				t.Error("no package was checked")
			}
		})
	}
}

// parse reads a file: of those that are not below the root folder, only what others can use.
func parse(set *token.FileSet, name string, text []byte, root string) (*ast.File, error) {
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution|parser.ParseComments)
	if file == nil || strings.HasPrefix(name, root+string(filepath.Separator)) {
		return file, err
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
	return file, err
}
