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
	line := regexp.MustCompile("(?m)(?:^ {4}(?:[a-z]*\\$ )?|`)kubectl intercept ([a-z-]+)([^`\n]*)")
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
			if !regexp.MustCompile(`\$\(call build,` + m[1] + `,\.,.*,\./` + m[2] + `[,)]`).MatchString(makefile) {
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

// The first screen has the order in which a newcomer needs things: what the cluster
// lacks before the installation, an application to type along before what is done with
// it, then what people know from elsewhere, and what is not there.
func TestReadmeOrder(t *testing.T) {
	text, at := read(t, "README.md"), 0
	for _, next := range []string{
		"\n## Install\n", "\n    kubectl krew install intercept ", "\n    kubectl intercept check --pre ", "\n    kubectl intercept install ", "\n    kubectl intercept check ",
		"without krew, put the two programs", "\n    go build -o ", "/kubectl-intercept ./plugin\n",
		"\n## Try it\n", "\n    $ kubectl create deploy ", "\n    $ kubectl expose deploy ", "\n    $ kubectl intercept list\n", "\n    deployment/hello   ready to intercept\n",
		"\n    $ kubectl intercept add hello ", "\n    deployment.apps/hello intercepted\n", "\n    $ kubectl intercept leave hello\n",
		"\n## Coming from Telepresence or mirrord\n", "\n| Telepresence | mirrord | here |\n",
		"\n## What is not there yet\n", "Personal intercepts", "macOS and Windows",
		"\n## Every day\n",
		"\n## A team on one Service\n", "\n    alice$ kubectl intercept add hello ", "\n    bob$ kubectl intercept add hello ", "\n| `--match auto` |",
		"\n### A copy of the traffic\n", " --mode mirror ",
	} {
		i := strings.Index(text[at:], next)
		if i < 0 {
			t.Fatalf("README.md has no %q after %q", next, text[max(0, at-60):at])
		}
		at += i + len(next)
	}
}

// Both tools that people come from have a row for each of their main verbs, and every
// row says what to type here.
func TestReadmeTables(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "README.md"), "\n## Coming from Telepresence or mirrord\n")
	table, _, _ := strings.Cut(rest, "\n\nAn intercept")
	here := regexp.MustCompile("`(kubectl intercept|run)\\b")
	var theirs strings.Builder
	rows := 0
	for line := range strings.Lines(strings.TrimSpace(table)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if rows++; rows <= 2 {
			continue // the head
		}
		if len(cells) != 3 || !here.MatchString(cells[2]) {
			t.Errorf("row %q has no command of ours", strings.TrimSpace(line))
			continue
		}
		theirs.WriteString(cells[0] + " " + cells[1])
	}
	for _, verb := range []string{"telepresence helm install", "telepresence list", "telepresence intercept", "telepresence leave", "telepresence connect",
		"telepresence quit", "telepresence uninstall", "mirrord ls", "mirrord exec", "mirrord exec --steal"} {
		if !strings.Contains(theirs.String(), "`"+verb) {
			t.Errorf("the table has no row for %s", verb)
		}
	}
}
