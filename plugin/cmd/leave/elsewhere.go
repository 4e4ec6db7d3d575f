package leave

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Sessions finds the background processes.
type Sessions interface {
	// Of are those that the command line means; the error is about the kubeconfig.
	Of(ctx context.Context, f *kube.Factory) ([]session.Known, error)
	// Others are the rest on this machine.
	Others(ctx context.Context, f *kube.Factory) ([]session.Known, error)
	// Leave has a session end an intercept, and returns it as it was; with wait once it
	// has ended.
	Leave(ctx context.Context, k *session.Known, namespace, name string, wait bool) (*v1alpha1.Intercept, error)
}

// elsewhere adds to an unknownError where there is what was asked for: in another
// namespace, or served by another session of this machine.
func (o *Options) elsewhere(ctx context.Context, user string, err error) error {
	var unknown *unknownError
	if !errors.As(err, &unknown) {
		return err
	}
	mine := o.mine(ctx, user, unknown.means)
	for _, i := range mine {
		if i.Namespace != o.namespace {
			return fmt.Errorf("you have no intercept %q in namespace %q, but in namespace %q: kubectl intercept leave %s -n %s",
				unknown.asked, o.namespace, i.Namespace, i.Name, i.Namespace)
		}
	}
	others, oerr := o.sessions.Others(ctx, o.factory)
	if oerr != nil {
		return errors.Join(err, oerr)
	}
	for _, k := range others {
		for _, i := range k.Served() {
			if unknown.means(i.Namespace, i.Name, i.Name) {
				return fmt.Errorf("%w\n%s serves %s: %s", err, k.Describe(), i, ends(&k, i))
			}
		}
	}
	return err
}

// mine are the user's intercepts of all namespaces that are meant.
func (o *Options) mine(ctx context.Context, user string, means func(namespace, name, workload string) bool) (keys []types.NamespacedName) {
	// Whoever may not read all namespaces has a session that knows its own.
	if visible, err := target.VisibleIntercepts(ctx, o.client, o.namespace, o.factory.ManagerNamespace); err == nil {
		for _, i := range own(visible, user) {
			if means(i.Namespace, i.Name, i.Spec.Workload.Name) {
				keys = append(keys, types.NamespacedName{Namespace: i.Namespace, Name: i.Name})
			}
		}
	}
	meant, _ := o.sessions.Of(ctx, o.factory) // there is a kubeconfig
	for _, k := range meant {
		for _, i := range k.Served() {
			if means(i.Namespace, i.Name, i.Name) && !slices.Contains(keys, i) {
				keys = append(keys, i)
			}
		}
	}
	return keys
}

// qualified finds the intercept that others would name as asked: with its namespace at the
// end of its name. It is nil if there is none, or more than one.
func (o *Options) qualified(ctx context.Context, user, asked string) *v1alpha1.Intercept {
	keys := o.mine(ctx, user, func(namespace, name, _ string) bool { return name+"-"+namespace == asked })
	if len(keys) != 1 || o.namespaced() && keys[0].Namespace != o.namespace {
		return nil
	}
	var i v1alpha1.Intercept
	if err := o.client.Get(ctx, keys[0], &i); err != nil || i.Spec.User != user {
		return nil // the error about what was asked is the better one
	}
	fmt.Fprintf(o.ErrOut, "%s is intercept %s in namespace %s: kubectl intercept leave %s -n %s\n", asked, i.Name, i.Namespace, i.Name, i.Namespace)
	return &i
}

// namespaced says that the command line names the namespace.
func (o *Options) namespaced() bool {
	typed := o.factory.ConfigFlags.Namespace
	return typed != nil && *typed != ""
}

// means says whether an intercept may be what was asked for. With the namespace
// at its end is how others name intercepts.
func (e *unknownError) means(namespace, name, workload string) bool {
	return e.name == name || e.name == workload || e.name == name+"-"+namespace || e.name == workload+"-"+namespace
}

// sayOthers tells of intercepts that other sessions of this machine serve.
func (o *Options) sayOthers(ctx context.Context) error {
	others, err := o.sessions.Others(ctx, o.factory)
	for _, k := range others {
		for _, i := range k.Served() {
			fmt.Fprintf(o.ErrOut, "%s serves %s: %s\n", k.Describe(), i, ends(&k, i))
		}
	}
	return err
}

// ends is what to type.
func ends(k *session.Known, i types.NamespacedName) string {
	if k.Flag == "--all" {
		return "kubectl intercept quit --all ends that session"
	}
	return fmt.Sprintf("kubectl intercept leave %s -n %s %s", i.Name, i.Namespace, k.Flag)
}

// bySession leaves with the credentials of a session that runs, as the kubeconfig
// has none for the context any more.
func (o *Options) bySession(ctx context.Context, progress *render.Progress) error {
	meant, err := o.sessions.Of(ctx, o.factory)
	if err != nil || len(meant) == 0 {
		return errors.Join(o.broken, o.sayOthers(ctx))
	}
	if o.DryRun != cmdutil.DryRunNone {
		return fmt.Errorf("--dry-run needs a kubeconfig: %s", render.Error(o.broken))
	}
	chosen, err := o.servedBy(meant)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		o.sayEmpty()
		return nil
	}
	var all sync.WaitGroup
	for n := range chosen {
		c := &chosen[n]
		all.Go(func() {
			c.was, c.err = o.sessions.Leave(ctx, c.session, c.key.Namespace, c.key.Name, o.Wait && o.Timeout != 0)
		})
	}
	step := fmt.Sprintf("giving %d workloads their traffic back", len(chosen))
	if len(chosen) == 1 {
		step = "giving the workload of intercept " + chosen[0].key.String() + " its traffic back"
	}
	progress.Step(step)
	all.Wait()
	progress.Done()
	for _, c := range chosen {
		if c.err != nil {
			err = errors.Join(err, fmt.Errorf("leave %s by %s: %w; kubectl intercept quit %s ends the session and all its intercepts",
				c.key, c.session.Describe(), c.err, c.session.Flag))
			continue
		}
		err = errors.Join(err, o.report(c.was))
	}
	return err
}

// servedIntercept is one that a session serves.
type servedIntercept struct {
	session *session.Known
	key     types.NamespacedName
	was     *v1alpha1.Intercept // once it is left
	err     error
}

// servedBy are the chosen ones of those that sessions serve; each name has to be
// there.
func (o *Options) servedBy(meant []session.Known) (chosen []servedIntercept, err error) {
	if len(o.Names) == 0 && o.namespace == "" && !o.everywhere {
		return nil, errors.New("the kubeconfig does not say which namespace --all means: kubectl intercept leave --all -n NAMESPACE, or --all -A for all of them")
	}
	there := map[string]bool{}
	for n := range meant {
		for _, key := range meant[n].Served() {
			if o.namespace != "" && key.Namespace != o.namespace || len(o.Names) > 0 && !slices.Contains(o.Names, key.Name) {
				continue
			}
			there[key.Name] = true
			chosen = append(chosen, servedIntercept{session: &meant[n], key: key})
		}
	}
	for _, name := range o.Names {
		if !there[name] {
			return nil, fmt.Errorf("%s serves no intercept %q: kubectl intercept status %s shows which", meant[0].Describe(), name, meant[0].Flag)
		}
	}
	for n, c := range chosen {
		for _, d := range chosen[:n] {
			if len(o.Names) > 0 && c.key.Name == d.key.Name && c.key.Namespace != d.key.Namespace {
				return nil, fmt.Errorf("there are intercepts %s and %s: say which with -n %s or -n %s",
					d.key, c.key, d.key.Namespace, c.key.Namespace)
			}
		}
	}
	return chosen, nil
}
