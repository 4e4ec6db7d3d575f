package uninstall

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// anything says whether there is something to do where Helm knows of no release:
// its namespace was deleted, say, with Helm's record of what else there is.
func (o *Options) anything(ctx context.Context) (bool, error) {
	if d, err := o.deployment(ctx); err == nil {
		return false, fmt.Errorf("%s is %w in namespace %s by Helm, but deployment %s is there: delete it where it was made, "+
			"with kubectl delete -f say; this command removes what stays then", helm.ReleaseName, helm.ErrNotInstalled, o.Namespace, d.Name)
	}
	remains, err := target.Remains(ctx, o.Client, o.Namespace)
	if err != nil || len(remains) > 0 {
		return len(remains) > 0, err
	}
	s, err := o.scope(ctx, nil)
	if err != nil {
		return false, err
	}
	list, err := o.intercepts(ctx, s)
	return len(list) > 0, err
}

// removeRemains deletes what belongs to the installation and Helm has not
// deleted, and names it.
func (o *Options) removeRemains(ctx context.Context) error {
	remains, err := target.Remains(ctx, o.Client, o.Namespace)
	if err != nil || len(remains) == 0 {
		return err
	}
	for i := range remains {
		// A foreground deletion that goes on is not waited for: it has begun.
		if err := o.Client.Delete(ctx, &remains[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s: %w", target.RemainName(&remains[i]), err)
		}
	}
	fmt.Fprintf(o.ErrOut, "Deleted: %s\n", strings.Join(remainNames(remains), ", "))
	return nil
}

func remainNames(list []metav1.PartialObjectMetadata) []string {
	var out []string
	for i := range list {
		out = append(out, target.RemainName(&list[i]))
	}
	return out
}
