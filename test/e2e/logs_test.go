//go:build e2e

package e2e

import (
	"archive/zip"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// secretApp is an application with secrets in its environment and its command line.
const secretApp = `
apiVersion: v1
kind: Pod
metadata:
  name: quote
  labels: {app: quote}
  annotations: {example.com/note: PLANTED-annotation}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: quote
    image: kubectl-intercept.dev/test/quote:dev
    args: [-listen=:8080]
    env: [{name: DATABASE_PASSWORD, value: PLANTED-password-1}, {name: GREETING, value: PLANTED-greeting}]
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: http, httpHeaders: [{name: X-Probe, value: PLANTED-probe}]}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 30}
---
apiVersion: v1
kind: Service
metadata: {name: quote}
spec: {selector: {app: quote}, ports: [{name: http, port: 80, targetPort: http}]}
`

// unzip returns the files of a zip by their names.
func unzip(l *lab.Lab, path string) map[string]string {
	l.Helper()
	z, err := zip.OpenReader(path)
	l.Must(err)
	defer z.Close()
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		l.Must(err)
		b, err := io.ReadAll(r)
		l.Must(err)
		files[f.Name] = string(b)
	}
	return files
}

// TestLogs reads the log of each part, and gathers all of them: as a developer, who may not
// read everything, and as an administrator.
func TestLogs(t *testing.T) {
	l := lab.New(t, clusters)
	l.ApplyText(secretApp)
	quote := l.Serving("quote", "http")
	alice, admin := l.Laptop("alice"), administrator(l)
	alice.Refused([]string{"logs"}, "no session of this kube context has run on this machine")
	alice.Refused([]string{"logs", "agent", "pod/quote"}, "no pod of pod/quote has an agent")
	alice.Intercept("connect")
	alice.Intercept("add", "pod/quote", "--port", alice.Serve("alice").To("http"), "--match", "x-key=PLANTED-condition")
	l.Answers(quote, lab.Application)

	for _, test := range []struct {
		p    *lab.Laptop
		args []string
		want string
	}{
		{alice, []string{"logs"}, "level=INFO"},
		{alice, []string{"logs", "session", "--tail", "1"}, "level="},
		{alice, []string{"logs", "netd"}, "level=INFO"},
		{alice, []string{"logs", "agent", "pod/quote"}, `"level":"INFO"`},
		{admin, []string{"logs", "manager", "--since", "1h"}, "level=INFO"},
	} {
		if o := test.p.Intercept(test.args...); !strings.Contains(o.Out, test.want) {
			t.Errorf("%v prints no %q", test.args, test.want)
		}
	}
	if o := alice.Intercept("logs", "session", "--tail", "1"); strings.Count(o.Out, "\n") != 1 {
		t.Errorf("--tail 1 prints %q", o.Out)
	}

	planted := regexp.MustCompile("PLANTED-[a-z]+")
	for _, test := range []struct {
		p            *lab.Laptop
		flags        []string
		there, names []string
	}{
		{alice, nil, []string{"session/session.log", "netd/netd.log", "agents/" + l.Namespace + "/quote/traffic-agent.log", "objects/pods.yaml", "check.yaml", "versions.yaml"}, nil},
		{admin, []string{"--anonymize"}, []string{"objects/intercepts.yaml", "objects/sessions.yaml", "objects/manager-pods.yaml", "check.yaml"}, []string{l.Namespace, "alice"}},
	} {
		path := filepath.Join(t.TempDir(), "logs.zip")
		o := test.p.Intercept(append([]string{"gather-logs", "-o", path}, test.flags...)...)
		if o.Out != path+"\n" {
			t.Errorf("gather-logs prints %q", o.Out)
		}
		files := unzip(l, path)
		for _, name := range test.there {
			if files[name] == "" {
				t.Errorf("the zip has no %s; %s", name, files["not-read.txt"])
			}
		}
		for name, text := range files {
			if found := planted.FindAllString(text, -1); found != nil {
				t.Errorf("%s has %v", name, found)
			}
			for _, n := range test.names {
				if regexp.MustCompile(`\b` + regexp.QuoteMeta(n) + `\b`).MatchString(name + text) {
					t.Errorf("%s has the name %s:\n%s", name, n, text)
				}
			}
		}
		if test.p == alice && !strings.Contains(files["not-read.txt"], `no permission: user "alice"`) {
			t.Errorf("a developer has read everything: %s", files["not-read.txt"])
		}
	}
}
