package uninstall

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// keepPolicy is how an object says that Helm has to keep it.
const keepPolicy = "helm.sh/resource-policy"

// plan says what Run would do, and does nothing. What would refuse it has been
// asked before.
func (o *Options) plan(ctx context.Context, rel *helm.Release, s *scope) error {
	intercepts, err := o.intercepts(ctx, s)
	if err != nil {
		return err
	}
	if len(intercepts) > 0 && !o.Force {
		return o.refuse(intercepts)
	}
	say := func(what string, list []string) {
		if len(list) > 0 {
			fmt.Fprintf(o.ErrOut, "%s: %s\n", what, strings.Join(list, ", "))
		}
	}
	if len(intercepts) > 0 {
		say("Would end", []string{names(intercepts)})
	}
	pods, err := o.pods(ctx, s, hasAgent)
	if err != nil {
		return err
	}
	say("Would remove the agents of", pods[0])
	var deleted, kept []string
	if rel != nil {
		if deleted, kept, err = objects(rel.Manifest); err != nil {
			return err
		}
	} else {
		remains, err := target.Remains(ctx, o.Client, o.Namespace)
		if err != nil {
			return err
		}
		deleted = remainNames(remains)
	}
	if o.DeleteCRDs {
		deleted, kept = append(deleted, kept...), nil
	}
	say("Would delete", deleted)
	say("Would keep", append([]string{"namespace " + o.Namespace}, kept...))
	what := "what is left of " + helm.ReleaseName
	if rel != nil {
		what = rel.String()
	}
	_, err = fmt.Fprintf(o.Out, "%s would be uninstalled from namespace %s (dry run)\n", what, o.Namespace)
	return err
}

// objects are those of a manifest, and of these which Helm keeps.
func objects(manifest string) (deleted, kept []string, err error) {
	d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		var u unstructured.Unstructured
		if err := d.Decode(&u.Object); err == io.EOF {
			return deleted, kept, nil
		} else if err != nil {
			return nil, nil, fmt.Errorf("read the release's manifest: %w", err)
		}
		if len(u.Object) == 0 {
			continue
		}
		name := strings.ToLower(u.GetKind()) + " " + u.GetName()
		if u.GetAnnotations()[keepPolicy] == "keep" {
			kept = append(kept, name)
		} else {
			deleted = append(deleted, name)
		}
	}
}

// pods names those of the scope that something holds of, a list for each such thing.
func (o *Options) pods(ctx context.Context, s *scope, holds ...func(*corev1.Pod) bool) ([][]string, error) {
	list, err := o.Kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	out := make([][]string, len(holds))
	for i := range list.Items {
		p := &list.Items[i]
		for n, h := range holds {
			if s.has(p.Namespace) && h(p) {
				out[n] = append(out[n], p.Namespace+"/"+p.Name)
			}
		}
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out, nil
}
