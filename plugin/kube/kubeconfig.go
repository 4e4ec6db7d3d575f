package kube

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// nowhere is what kubectl dials where no kubeconfig says anything. Whatever
// listens there is not what anybody means.
const nowhere = "http://localhost:8080"

// NoClusterError says that no kubeconfig leads to a cluster.
type NoClusterError struct{ reason string }

// Error says where it was looked for, and what to do.
func (e *NoClusterError) Error() string { return e.reason }

// Files are where the kubeconfig is looked for, whether they exist or not.
func (f *Factory) Files() []string {
	if f.KubeConfig != nil && *f.KubeConfig != "" {
		return []string{*f.KubeConfig}
	}
	return clientcmd.NewDefaultClientConfigLoadingRules().GetLoadingPrecedence()
}

// ToRESTConfig is kubectl's, without its last resort.
func (f *Factory) ToRESTConfig() (*rest.Config, error) {
	c, err := f.ConfigFlags.ToRESTConfig()
	if err != nil && f.KubeConfig != nil && *f.KubeConfig != "" {
		if _, serr := os.Stat(*f.KubeConfig); errors.Is(serr, fs.ErrNotExist) {
			return nil, &NoClusterError{"no kubeconfig found: there is no " + *f.KubeConfig}
		}
	}
	if err != nil && !clientcmd.IsEmptyConfig(err) || err == nil && c.Host != nowhere {
		return c, err
	}
	raw, rerr := f.ToRawKubeConfigLoader().RawConfig()
	if rerr != nil {
		return nil, rerr
	}
	if reason := f.missing(&raw); reason != "" {
		return nil, &NoClusterError{reason}
	}
	return c, err
}

// missing says why a kubeconfig leads nowhere; "" if it does say nowhere.
func (f *Factory) missing(raw *clientcmdapi.Config) string {
	if f.APIServer != nil && *f.APIServer != "" || clientcmd.ClusterDefaults.Server != nowhere {
		return ""
	}
	files := f.Files()
	there := slices.DeleteFunc(slices.Clone(files), func(file string) bool { _, err := os.Stat(file); return err != nil })
	context := raw.CurrentContext
	if f.Context != nil && *f.Context != "" {
		context = *f.Context
	}
	var cluster string
	if c := raw.Contexts[context]; c != nil {
		cluster = c.Cluster
	}
	if f.ClusterName != nil && *f.ClusterName != "" {
		cluster = *f.ClusterName
	}
	known := raw.Clusters[cluster]
	const name = "name another by --kubeconfig or the environment variable KUBECONFIG"
	switch {
	case known != nil && known.Server != "":
		return ""
	case len(there) == 0:
		return fmt.Sprintf("no kubeconfig found: there is no %s; put the one of your cluster there, or %s", strings.Join(files, " and no "), name)
	case cluster != "":
		return fmt.Sprintf("the kubeconfig %s has no server for the cluster %q of the context %q: mend it (kubectl config view), or choose another with --context",
			strings.Join(there, " with "), cluster, context)
	case len(raw.Contexts) == 0:
		return fmt.Sprintf("the kubeconfig %s names no cluster: put that of your cluster there, or %s", strings.Join(there, " with "), name)
	}
	return fmt.Sprintf("the kubeconfig %s has no current context: choose one with kubectl config use-context NAME, or with --context NAME; there are %s",
		strings.Join(there, " with "), strings.Join(slices.Sorted(maps.Keys(raw.Contexts)), ", "))
}
