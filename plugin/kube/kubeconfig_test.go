package kube_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

const twoContexts = `
apiVersion: v1
kind: Config
clusters:
- name: c
  cluster: {server: "https://198.51.100.1:6443"}
- name: local
  cluster: {server: "http://localhost:8080"}
- name: hollow
  cluster: {}
contexts:
- name: one
  context: {cluster: c}
- name: two
  context: {cluster: local}
- name: three
  context: {cluster: hollow}
- name: four
  context: {cluster: unknown}
`

// Nothing but a kubeconfig says which cluster is meant, and what is missing in
// it is told.
func TestNoCluster(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	absent, empty, config := filepath.Join(dir, "absent"), write("empty", ""), write("config", twoContexts)
	for name, c := range map[string]struct {
		env  string
		args []string
		host string
		want []string
	}{
		"no file":        {env: absent, want: []string{"no kubeconfig found", "there is no " + absent, "--kubeconfig", "KUBECONFIG"}},
		"two files":      {env: absent + string(filepath.ListSeparator) + absent + "2", want: []string{"no " + absent + " and no " + absent + "2"}},
		"named file":     {env: config, args: []string{"--kubeconfig", absent}, want: []string{"no kubeconfig found", "there is no " + absent}},
		"empty":          {env: empty, want: []string{empty + " names no cluster"}},
		"no context":     {env: config, want: []string{config + " has no current context", "kubectl config use-context NAME", "four, one, three, two"}},
		"wrong context":  {env: config, args: []string{"--context", "five"}, want: []string{`context "five" does not exist`}},
		"no server":      {env: config, args: []string{"--context", "three"}, want: []string{`no server for the cluster "hollow" of the context "three"`}},
		"no cluster":     {env: config, args: []string{"--context", "four"}, want: []string{`"unknown"`}},
		"meant":          {env: config, args: []string{"--context", "two"}, host: "http://localhost:8080"},
		"server is said": {env: absent, args: []string{"--server", "http://localhost:8080"}, host: "http://localhost:8080"},
		"in order":       {env: config, args: []string{"--context", "one"}, host: "https://198.51.100.1:6443"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", c.env)
			f := kube.NewFactory()
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			f.AddFlags(flags)
			if err := flags.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			cfg, err := f.ToRESTConfig()
			if c.host != "" {
				if err != nil || cfg.Host != c.host {
					t.Fatalf("%+v, %v", cfg, err)
				}
				return
			}
			if err == nil {
				t.Fatalf("it leads to %s", cfg.Host)
			}
			for _, text := range c.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not contain %q", err, text)
				}
			}
			if _, nerr := f.Namespace(); nerr == nil || !strings.Contains(nerr.Error(), err.Error()) {
				t.Errorf("the namespace's error is %v", nerr)
			}
		})
	}
}
