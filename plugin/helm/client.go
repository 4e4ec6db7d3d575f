// Package helm installs, upgrades and uninstalls the traffic-manager. It is the
// only package that imports the Helm SDK, and it hands none of the SDK's types
// out: commands see a Client, a Chart and a Release.
//
// Helm gets the very ConfigFlags the command line filled, so that --context,
// --as, --token and --server mean for it what they mean for every other request.
package helm

import (
	"fmt"

	"helm.sh/helm/v3/pkg/action"
	helmkube "helm.sh/helm/v3/pkg/kube"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// ReleaseName is the name of the release, of the Deployment in it and of the
// chart.
const ReleaseName = "traffic-manager"

// Client does what Helm can do with the release in one namespace.
type Client struct {
	cfg       *action.Configuration
	getter    genericclioptions.RESTClientGetter
	namespace string
}

// New returns a Client for the release in namespace. It asks the cluster nothing.
func New(getter genericclioptions.RESTClientGetter, namespace string) (*Client, error) {
	cfg := &action.Configuration{}
	if err := cfg.Init(getter, namespace, "secret", debugf); err != nil {
		return nil, fmt.Errorf("prepare helm: %w", err)
	}
	if kc, ok := cfg.KubeClient.(*helmkube.Client); ok {
		// Without this, objects that name no namespace would go to the one of
		// the kubeconfig.
		kc.Namespace = namespace
	}
	return &Client{cfg: cfg, getter: getter, namespace: namespace}, nil
}

// Namespace is the namespace of the release.
func (c *Client) Namespace() string { return c.namespace }
