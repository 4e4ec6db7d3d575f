package session

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// flagValue is a kubectl flag that was set.
type flagValue struct {
	name   string
	values []string
}

// explicit lists the kubectl flags that differ from their defaults, sorted by name.
func explicit(f *kube.Factory) []flagValue {
	defaults := pflag.NewFlagSet("", pflag.ContinueOnError)
	genericclioptions.NewConfigFlags(true).AddFlags(defaults)
	given := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.ConfigFlags.AddFlags(given) // their defaults here are their values
	var list []flagValue
	given.VisitAll(func(g *pflag.Flag) {
		if d := defaults.Lookup(g.Name); d != nil && d.DefValue == g.Value.String() {
			return
		}
		v := flagValue{name: g.Name, values: []string{g.Value.String()}}
		if s, ok := g.Value.(pflag.SliceValue); ok {
			v.values = slices.Clone(s.GetSlice())
		}
		list = append(list, v)
	})
	return list
}

// Flags that are not passed to the session process unchanged.
var (
	// The process serves all namespaces and keeps trying without a timeout.
	notForwarded = []string{"context", "namespace", "request-timeout"}
	// The values of these flags are not passed as arguments, because every user of the
	// machine can read the arguments of a process.
	secretFlags = []string{"token", "password"}
	pathFlags   = []string{"kubeconfig", "client-certificate", "client-key", "certificate-authority", "cache-dir"}
)

// ProxyEnv is the environment variable with the address of the session's proxy. Other
// proxy variables of the shell with the same address refer to that proxy.
const ProxyEnv = "KUBECTL_INTERCEPT_PROXY"

// forward returns arguments and environment for the session process. With them, the
// process connects to the same cluster as the same user as this command, even if the
// current directory or the kubeconfig's current context changes. It returns the values of
// secret flags separately.
func forward(f *kube.Factory, id *socket.Identity, env []string) (args, environ []string, secrets map[string]string, err error) {
	if id.Context != "" {
		args = append(args, "--context="+id.Context)
	}
	args = append(args, "--manager-namespace="+id.ManagerNamespace)
	secrets = map[string]string{}
	for _, flag := range explicit(f) {
		switch {
		case slices.Contains(notForwarded, flag.name):
		case slices.Contains(secretFlags, flag.name):
			secrets[flag.name] = flag.values[0]
		default:
			for _, v := range flag.values {
				if slices.Contains(pathFlags, flag.name) {
					if v, err = filepath.Abs(v); err != nil {
						return nil, nil, nil, err
					}
				}
				args = append(args, "--"+flag.name+"="+v)
			}
		}
	}
	for _, kv := range withoutProxy(env) {
		if name, value, _ := strings.Cut(kv, "="); name == "KUBECONFIG" {
			if value, err = absoluteList(value); err != nil {
				return nil, nil, nil, err
			}
			kv = name + "=" + value
		}
		environ = append(environ, kv)
	}
	return args, environ, secrets, nil
}

// withoutProxy removes a session's proxy from an environment, because connections to the
// API server must not go through that proxy.
func withoutProxy(env []string) []string {
	own := ""
	for _, kv := range env {
		if name, value, _ := strings.Cut(kv, "="); name == ProxyEnv {
			own = value
		}
	}
	if own == "" {
		return env
	}
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, value, _ := strings.Cut(kv, "=")
		_, at, _ := strings.Cut(value, "://")
		return name == ProxyEnv || strings.HasSuffix(strings.ToLower(name), "_proxy") && strings.TrimSuffix(at, "/") == own
	})
}

func absoluteList(list string) (string, error) {
	paths := filepath.SplitList(list)
	for i, p := range paths {
		if p == "" {
			continue
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return "", err
		}
		paths[i] = abs
	}
	return strings.Join(paths, string(filepath.ListSeparator)), nil
}
