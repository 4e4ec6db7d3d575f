package action

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/config"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
)

//go:embed addons.yaml
var addons string

// addons applies CoreDNS and the rights of kube-proxy. The API server makes
// its own namespaces and roles just after it says that it is ready, so the
// first attempts may fail.
func (b *building) addons(ctx context.Context) error {
	manifest := strings.NewReplacer("@DOMAIN@", plan.Domain, "@DNS@", plan.DNSIP, "@IMAGE@", config.CoreDNSImage).Replace(addons)
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := apply(b.cluster.Kubeconfig("admin"), manifest)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("deploy cluster DNS: %w", err)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// apply does what `kubectl apply --server-side` does.
func apply(kubeconfig, manifest string) error {
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig = ptr.To(kubeconfig)
	return resource.NewBuilder(flags).Unstructured().ContinueOnError().
		Stream(bytes.NewBufferString(manifest), "addons").Flatten().Do().
		Visit(func(info *resource.Info, err error) error {
			if err != nil {
				return err
			}
			data, err := runtime.Encode(unstructured.UnstructuredJSONScheme, info.Object)
			if err != nil {
				return err
			}
			_, err = resource.NewHelper(info.Client, info.Mapping).WithFieldManager("cluster-up").
				Patch(info.Namespace, info.Name, types.ApplyPatchType, data, &metav1.PatchOptions{Force: ptr.To(true)})
			return err
		})
}
