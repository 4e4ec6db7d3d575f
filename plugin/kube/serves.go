package kube

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// Serves says that the cluster knows a group and version, which everybody may ask.
// It asks the API server: kubectl's cache may be hours old.
func (f *Factory) Serves(gv schema.GroupVersion) (bool, error) {
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return false, fmt.Errorf("read kubeconfig: %w", err)
	}
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return false, err
	}
	_, err = d.ServerResourcesForGroupVersion(gv.String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
