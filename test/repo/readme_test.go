package repo

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd"
)

// Documents whose commands must exist.
var readmes = []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "plugin/README.md", "chart/README.md", "test/README.md"}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(root + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Make targets that a README names are in the Makefile.
func TestReadmeTargetsExist(t *testing.T) {
	makefile := read(t, "Makefile")
	named := regexp.MustCompile("(?m)(?:^ {4}|`)make ([a-z0-9-]+)")
	found := 0
	for _, name := range readmes {
		for _, m := range named.FindAllStringSubmatch(read(t, name), -1) {
			found++
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s names make %s, which does not exist", name, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no README names a make target: the pattern is wrong")
	}
}

// Commands and flags that a README names, on a line or in a sentence, are in the
// plugin's help.
func TestReadmeCommandsExist(t *testing.T) {
	line := regexp.MustCompile("(?m)(?:^ {4}(?:\\$ )?|`)kubectl intercept ([a-z]+)([^`\n]*)")
	flag := regexp.MustCompile(`(?:^| )(--[a-z-]+)`)
	found := 0
	for _, name := range readmes {
		for _, m := range line.FindAllStringSubmatch(read(t, name), -1) {
			found++
			var out, errOut bytes.Buffer
			streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut}
			command := []string{m[1]}
			if m[1] == "uninstall" && strings.HasPrefix(m[2], " agent") {
				command = append(command, "agent")
			}
			if code := cmd.Run(context.Background(), streams, append(command, "--help")); code != 0 {
				t.Errorf("%s: kubectl intercept %s --help ends with %d: %s", name, m[1], code, &errOut)
				continue
			}
			if full := "kubectl intercept " + strings.Join(command, " "); !strings.Contains(out.String(), "Usage:\n  "+full) {
				t.Errorf("%s: there is no %s", name, full)
			}
			var shared bytes.Buffer
			streams.Out = &shared
			cmd.Run(context.Background(), streams, []string{"options"})
			args, _, _ := strings.Cut(m[2], "#")
			args, _, _ = strings.Cut(args, " -- ")
			for _, f := range flag.FindAllStringSubmatch(args, -1) {
				if !strings.Contains(out.String()+shared.String(), f[1]) {
					t.Errorf("%s: kubectl intercept %s has no flag %s", name, m[1], f[1])
				}
			}
		}
	}
	if found == 0 {
		t.Error("no README names a command: the pattern is wrong")
	}
}

// What a README builds with Go is a program, and the Makefile calls it by the same name.
func TestReadmeBuilds(t *testing.T) {
	line := regexp.MustCompile(`(?m)^ {4}go build -o \S+/(\S+) \./(\S+)`)
	makefile, found := read(t, "Makefile"), 0
	for _, name := range readmes {
		for _, m := range line.FindAllStringSubmatch(read(t, name), -1) {
			found++
			if !regexp.MustCompile(`\$\(call build,` + m[1] + `,\.,.*,\./` + m[2] + `\)`).MatchString(makefile) {
				t.Errorf("%s builds %s from ./%s, which the Makefile does not", name, m[1], m[2])
			}
			if !strings.Contains(read(t, m[2]+"/main.go"), "\npackage main\n") {
				t.Errorf("%s: ./%s is no program", name, m[2])
			}
		}
	}
	if found == 0 {
		t.Error("no README builds a program: the pattern is wrong")
	}
}
