package session

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: c
  cluster: {server: "https://198.51.100.1:6443"}
- name: d
  cluster: {server: "https://198.51.100.2:6443"}
users:
- name: jane
  user: {token: old}
- name: joe
  user: {token: other}
contexts:
- name: one
  context: {cluster: c, user: jane}
- name: two
  context: {cluster: d, user: jane, namespace: shop}
- name: three
  context: {cluster: c, user: joe}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// flags returns a Factory that has parsed args.
func flags(t *testing.T, args ...string) *kube.Factory {
	t.Helper()
	f := kube.NewFactory()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func mustIdentify(t *testing.T, args ...string) *socket.Identity {
	t.Helper()
	id, err := Identify(flags(t, args...))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestKeyTellsUsersApart(t *testing.T) {
	path := writeConfig(t, kubeconfig)
	base := mustIdentify(t, "--kubeconfig", path)
	if base.Context != "one" || base.Server != "https://198.51.100.1:6443" || base.Namespace != "default" || base.ManagerNamespace != "intercept-system" {
		t.Fatalf("identity %+v", base)
	}
	for _, same := range [][]string{{"--context", "one"}, {"-n", "elsewhere"}, {"--request-timeout", "3s"}, {"--cache-dir", "/tmp/x"}} {
		if id := mustIdentify(t, append(same, "--kubeconfig", path)...); id.Key != base.Key {
			t.Errorf("%v makes another session", same)
		}
	}
	seen := map[string][]string{base.Key: nil}
	for _, other := range [][]string{{"--context", "two"}, {"--context", "three"}, {"--user", "joe"}, {"--as", "jim"}, {"--as", "jim", "--as-group", "a"},
		{"--token", "x"}, {"--token", "y"}, {"--manager-namespace", "mine"}, {"--cluster", "d"}, {"--server", "https://198.51.100.9"}} {
		id := mustIdentify(t, append(other, "--kubeconfig", path)...)
		if twin, ok := seen[id.Key]; ok {
			t.Errorf("%v and %v share a session", other, twin)
		}
		seen[id.Key] = other
	}
	renewed := strings.NewReplacer("old", "new", "https://198.51.100.1:6443", "https://198.51.100.1:7443").Replace(kubeconfig)
	if err := os.WriteFile(path, []byte(renewed), 0o600); err != nil {
		t.Fatal(err)
	}
	if mustIdentify(t, "--kubeconfig", path).Key != base.Key {
		t.Error("a renewed token, or an address of the cluster that changed, makes another session")
	}
	if mustIdentify(t, "--kubeconfig", writeConfig(t, kubeconfig)).Key == base.Key {
		t.Error("users of the same name in two files share a session")
	}
}

func TestForward(t *testing.T) {
	path := writeConfig(t, kubeconfig)
	t.Chdir(filepath.Dir(path))
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	f := flags(t, "--kubeconfig", "config", "--as", "jim", "--as-group", "a", "--as-group", "b,c", "--token", "secret", "-n", "shop",
		"--insecure-skip-tls-verify", "--request-timeout", "3s", "--manager-namespace", "mine")
	id, err := Identify(f)
	if err != nil {
		t.Fatal(err)
	}
	args, env, secrets, err := forward(f, id, []string{"HOME=/home/jane", "KUBECONFIG=a" + string(filepath.ListSeparator) + "/b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range args {
		if strings.Contains(a, "secret") {
			t.Errorf("%s shows a secret", a)
		}
	}
	g := flags(t, args...)
	if *g.Context != "one" || *g.Impersonate != "jim" || !slices.Equal(*g.ImpersonateGroup, []string{"a", "b,c"}) || !*g.Insecure ||
		*g.KubeConfig != filepath.Join(dir, "config") || *g.ConfigFlags.Namespace != "" || *g.Timeout != "0" || g.ManagerNamespace != "mine" {
		t.Errorf("arguments %q", args)
	}
	if !slices.Contains(env, "HOME=/home/jane") || !slices.Contains(env, "KUBECONFIG="+filepath.Join(dir, "a")+string(filepath.ListSeparator)+"/b") {
		t.Errorf("environment %q", env)
	}
	for _, kv := range env {
		if strings.Contains(kv, "secret") {
			t.Errorf("children of the process inherit %q", kv)
		}
	}
	again := &socket.Caller{Args: args, Secrets: secrets}
	if cfg, err := again.Load(); err != nil || cfg.BearerToken != "secret" || cfg.Impersonate.UserName != "jim" {
		t.Errorf("loaded anew it is %+v, %v", cfg, err)
	}
}

// A session that a shell with a proxy starts does not go through that, only
// through others.
func TestForwardLeavesTheProxy(t *testing.T) {
	f := flags(t, "--kubeconfig", writeConfig(t, kubeconfig))
	id, err := Identify(f)
	if err != nil {
		t.Fatal(err)
	}
	rest := []string{"HTTPS_PROXY=http://proxy.corp:3128", "NO_PROXY=localhost,api.shop", "HOME=/home/jane"}
	all := append([]string{"http_proxy=http://127.0.0.1:40000", "ALL_PROXY=socks5h://127.0.0.1:40000/", "https_proxy=http://127.0.0.1:40000"}, rest...)
	if _, env, _, err := forward(f, id, append(slices.Clone(all), ProxyEnv+"=127.0.0.1:40000")); err != nil || !slices.Equal(env, rest) {
		t.Errorf("environment %q, %v", env, err)
	}
	if _, env, _, err := forward(f, id, all); err != nil || !slices.Equal(env, all) {
		t.Errorf("nobody said whose proxy it is, and the environment is %q, %v", env, err)
	}
}
