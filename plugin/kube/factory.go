// Package kube makes the clients every command needs out of kubectl's own
// configuration flags, so that --context, --as, --token and all the others
// mean here what they mean to kubectl.
package kube

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

// DefaultManagerNamespace is where the traffic-manager lives unless
// --manager-namespace says otherwise.
const DefaultManagerNamespace = "intercept-system"

// Factory holds the flags that all commands share. The zero value is not
// usable; see NewFactory.
type Factory struct {
	*genericclioptions.ConfigFlags

	// ManagerNamespace is the namespace of the traffic-manager.
	ManagerNamespace string
}

// NewFactory returns a Factory with kubectl's defaults.
func NewFactory() *Factory {
	flags := genericclioptions.NewConfigFlags(true).WithDiscoveryBurst(300).WithDiscoveryQPS(50)
	flags.WithWrapConfigFn(Tune)
	return &Factory{ConfigFlags: flags, ManagerNamespace: DefaultManagerNamespace}
}

// Tune gives a configuration the name and the pace that clients of ours have.
func Tune(c *rest.Config) *rest.Config {
	c.UserAgent = version.UserAgent()
	c.QPS, c.Burst = 50, 100
	return c
}

// AddFlags adds kubectl's flags and --manager-namespace.
func (f *Factory) AddFlags(flags *pflag.FlagSet) {
	f.ConfigFlags.AddFlags(flags)
	flags.StringVar(&f.ManagerNamespace, "manager-namespace", f.ManagerNamespace,
		"Namespace of the traffic-manager")
}

// Namespace is the namespace of --namespace or of the context.
func (f *Factory) Namespace() (string, error) {
	if _, err := f.ToRESTConfig(); err != nil {
		return "", fmt.Errorf("read kubeconfig: %w", err)
	}
	ns, _, err := f.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("read kubeconfig: %w", err)
	}
	return ns, nil
}

// Scheme knows the built-in types and those of the product.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(s); err != nil {
		return nil, err
	}
	return s, nil
}

// Client returns a typed client that can also watch. It does no discovery:
// see mapper.
func (f *Factory) Client() (client.WithWatch, error) {
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return NewClient(cfg)
}

// NewClient is Client for a configuration that is at hand. Warnings of the API server go to
// the configuration's handler. Without one they go nowhere: controller-runtime would log
// them, and print a complaint after half a minute that its log has no destination.
func NewClient(cfg *rest.Config) (client.WithWatch, error) {
	s, err := Scheme()
	if err != nil {
		return nil, err
	}
	if cfg.WarningHandler == nil && cfg.WarningHandlerWithContext == nil {
		cfg = rest.CopyConfig(cfg)
		cfg.WarningHandler = rest.NoWarnings{}
	}
	return client.NewWithWatch(cfg, client.Options{Scheme: s, Mapper: mapper()})
}
