package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spf13/pflag"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube/kubetest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

func TestSourcesOfThisMachine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(kubetest.Kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	of := "kubeconfig " + file
	for name, tt := range map[string]struct {
		args []string
		want []setting
	}{
		"nothing said": {nil, []setting{{"context", "one", of}, {"server", "https://198.51.100.1:6443", of},
			{"namespace", "default", byDefault}, {"managerNamespace", "intercept-system", byDefault}}},
		"flags": {[]string{"--context", "other", "-n", "bank", "--server", "https://198.51.100.2", "--manager-namespace", "tools"},
			[]setting{{"context", "other", "flag --context"}, {"server", "https://198.51.100.2", "flag --server"},
				{"namespace", "bank", "flag --namespace"}, {"managerNamespace", "tools", "flag --manager-namespace"}}},
		"another context": {[]string{"--context", "other"}, []setting{{"context", "other", "flag --context"},
			{"server", "https://198.51.100.1:6443", of}, {"namespace", "shop", of}, {"managerNamespace", "intercept-system", byDefault}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := kube.NewFactory()
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			f.AddFlags(flags)
			if err := flags.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			got, err := local(f)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(got) - 1; got[n].name != "sessions" || !slices.Equal(got[:n], tt.want) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestClusterThatSaysNonsense(t *testing.T) {
	if _, err := remote(&target.Installation{Client: "routing: ["}); err == nil {
		t.Error("it is read")
	}
}
