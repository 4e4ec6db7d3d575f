//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// npm is what the README's project runs: it says which intercept and which file it has, and
// what answers as its neighbor.
const npm = `#!/bin/sh
[ "$*" = start ] && echo "$INTERCEPT_NAME $(cat "$INTERCEPT_ROOT/etc/quote/color") $(curl -s -m 5 http://127.0.0.1:6379/)"
`

// psql asks the host after -h for its name.
const psql = `#!/bin/sh
[ "$1" = -h ] && curl -sS -m 5 "http://$2/"
`

// neighbor is a second container of a pod, at another port.
const neighbor = `      - {name: %s, image: "kubectl-intercept.dev/test/quote:dev", args: ["-listen=:6379", "-name=neighbor"], ports: [{containerPort: 6379}]}
      volumes:
`

// project is a laptop with the README's project and its workloads: quote has a container
// worker, worker has a container consumer, and db is what both connect to.
func project(t *testing.T) (*lab.Lab, *lab.Laptop) {
	l := lab.New(t, clusters)
	with := func(name string) []string { return []string{"      volumes:\n", fmt.Sprintf(neighbor, name)} }
	l.Apply("files.yaml", with("worker")...)
	l.Apply("files.yaml", append(with("consumer"), "name: quote\n", "name: worker\n", "app: quote", "app: worker",
		"name: settings", "name: color", "name: credentials", "name: secret", "secretName: credentials", "secretName: secret")...)
	l.Apply("quote.yaml", "name: quote", "name: db", "app: quote", "app: db")
	alice := here(l, "alice")
	bin := filepath.Join(alice.Home, "bin")
	l.Must(os.Mkdir(bin, 0o755))
	for name, text := range map[string]string{"npm": npm, "psql": psql} {
		l.Must(os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755))
	}
	return l, alice
}

// typed returns what a line of the README prints in the folder of the project.
func typed(p *lab.Laptop, line string) string {
	return p.Shell(`cd && PATH="$HOME/bin:$PATH" && ` + line)
}

// TestReadmePod types the commands by which a program on the laptop has the environment, the
// files and the network of a pod, with and without its traffic.
func TestReadmePod(t *testing.T) {
	l, alice := project(t)
	alice.ServeAt("alice", 8080)
	quote := l.Serving("quote", "http")
	says := func(line, want string) {
		t.Helper()
		if out := typed(alice, line); !strings.Contains(out, want) {
			t.Errorf("%s prints\n%swithout %q", line, out, want)
		}
	}
	holds := func(name, want string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(alice.Home, name))
		if l.Must(err); !strings.Contains(string(text), want) {
			t.Errorf("%s has\n%swithout %q", name, text, want)
		}
	}

	commands := expect(t, block(t, "The pod's environment", "--env-file"), 4)
	says(commands[0], "quote green")
	says(commands[1], "deployment.apps/quote intercepted")
	l.Answers(quote, "alice")
	holds("quote.env", "INTERCEPT_NAME=quote\n")
	says(commands[2], "KUBERNETES_SERVICE_HOST=")
	says(commands[3], `"INTERCEPT_CONTAINER": "worker"`)
	typed(alice, "kubectl intercept leave quote")

	commands = expect(t, block(t, "The pod's files", "--mount=copy"), 5)
	says(commands[0], "quote green")
	for _, line := range commands[1:4] {
		mounted := volumesAt(l, typed(alice, line))
		if strings.Contains(line, "$HOME/quote") && mounted != alice.Home+"/quote" {
			t.Errorf("%s mounts at %s", line, mounted)
		}
		fileIs(l, alice.Root()+mounted+"/etc/quote/color", "green")
		typed(alice, "kubectl intercept leave quote")
	}
	says(commands[4], "quote ") // and no file
	l.Eventually(quote, "the cluster")

	commands = expect(t, block(t, "A team on one Service", "--mode ingest"), 3)
	fileIs(l, alice.Root()+volumesAt(l, typed(alice, commands[0]))+"/etc/quote/color", "green")
	typed(alice, commands[1])
	holds("worker.env", "INTERCEPT_NAME=worker\n")
	typed(alice, "kubectl intercept leave worker")
	says(commands[2], "worker green")

	commands = expect(t, block(t, "A team on one Service", "--mode replace"), 3)
	says(commands[0], "worker green")
	says(commands[1], "ACTIVE")
	l.Answers(l.Service("worker", "http"), "alice")
	typed(alice, "kubectl intercept leave worker")
	says(commands[2], "ACTIVE")
	says("kubectl intercept status", "consumer")
	typed(alice, "kubectl intercept leave worker")

	commands = expect(t, block(t, "Programs that reach the cluster", "run --via deploy/quote"), 4)
	says(commands[0], " green answered by neighbor") // the pod's localhost
	says(commands[1], "answered by the cluster")
	says(commands[2], "quote green answered by neighbor")
	says(commands[3], "quote green")
	commands = expect(t, block(t, "Programs that reach the cluster", "connect --via deploy/quote"), 3)
	typed(alice, commands[0])
	says("kubectl intercept status", "deployment/quote")
	typed(alice, "kubectl intercept disconnect")
	says(commands[1], "HTTPS_PROXY=")
	typed(alice, "kubectl intercept disconnect")
	says(commands[2], "answered by the cluster")
}

// expect fails the test if a block of the README has not so many commands.
func expect(t *testing.T, commands []string, n int) []string {
	t.Helper()
	if len(commands) != n {
		t.Fatalf("the block has %d lines, want %d: %q", len(commands), n, commands)
	}
	return commands
}
