package cmd

import (
	"strings"
	"testing"
)

// TestUsual reads words of other tools. The value of a flag is no verb.
func TestUsual(t *testing.T) {
	for _, test := range []struct {
		typed, want string
		note        bool
	}{
		{"helm install", "install", true},
		{"helm -n install upgrade", "upgrade -n install", true},
		{"helm --namespace upgrade uninstall -q", "uninstall --namespace upgrade -q", true},
		{"helm --context=a install", "install --context=a", true},
		{"helm install --upgrade --values file", "upgrade --install --values file", true},
		{"helm lint", "helm lint", false},
		{"uninstall --everything", "uninstall", true},
		{"uninstall --dry-run --everything=true", "uninstall --dry-run", true},
		{"uninstall", "uninstall", false},
		{"uninstall agent --everything", "uninstall agent --everything", false},
		{"quit -s", "quit --stop-daemons", false},
		{"quit -u -r", "quit -u -r", false},
	} {
		got, note := usual(strings.Fields(test.typed))
		if strings.Join(got, " ") != test.want || (note != "") != test.note {
			t.Errorf("%s is read as %s (%q), want %s", test.typed, got, note, test.want)
		}
	}
}

// TestSpell reads a command line that begins with a workload, and leaves all others.
func TestSpell(t *testing.T) {
	root := rootOf(t)
	for typed, want := range map[string]string{
		"hello --port 9000":                       "add hello --port 9000",
		"hello -p 3000 -n shop":                   "add hello -p 3000 -n shop",
		"hello -p3000":                            "add hello -p3000",
		"-n shop hello --port=9000":               "add -n shop hello --port=9000",
		"--context demo deploy/hello -p 9000:80":  "add --context demo deploy/hello -p 9000:80",
		"deploy hello --port 9000":                "add deploy hello --port 9000",
		"hello --port 9000 -- python3 -m server":  "add hello --port 9000 -- python3 -m server",
		"hello --port 9000 -- exec --port 1":      "add hello --port 9000 -- exec --port 1",
		"hello":                                   "hello",
		"hello -- nc -p 9000":                     "hello -- nc -p 9000",
		"-n shop list":                            "-n shop list",
		"add hello --port 9000":                   "add hello --port 9000",
		"intercept hello --port 9000":             "intercept hello --port 9000",
		"run deploy/hello --port 9000 -- program": "run deploy/hello --port 9000 -- program",
		"exec --port 9000":                        "exec",
		"-n shop exec --port 9000":                "exec",
		"lisst hello --port 9000":                 "lisst",
		"__complete hello --port":                 "__complete hello --port",
		"-h":                                      "-h",
	} {
		if got := strings.Join(spell(root, strings.Fields(typed)), " "); got != want {
			t.Errorf("%s is read as %s, want %s", typed, got, want)
		}
	}
}
