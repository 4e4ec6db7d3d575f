package gather

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/logs"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/redact"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// versions are those of everything that has one.
func (g *Gatherer) versions(ctx context.Context) error {
	v := map[string]string{
		"plugin": version.Version, "commit": version.Commit(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
	}
	var errs error
	if found, err := g.Netd.Running(ctx); err != nil {
		errs = errors.Join(errs, err)
	} else if found != nil {
		v["intercept-netd"] = found.Release
		errs = errors.Join(errs, found.Close())
	}
	if g.ConfigErr == nil {
		kubernetes, err := g.kubernetes(ctx)
		var status apierrors.APIStatus
		if err != nil && !errors.As(err, &status) { // nobody answers, and nobody will
			g.ConfigErr = err
			return errors.Join(errs, g.b.object("versions.yaml", v))
		}
		errs = errors.Join(errs, err)
		if err == nil {
			v["kubernetes"] = kubernetes
		}
		manager, err := target.Manager(ctx, g.Client, g.ManagerNamespace)
		errs = errors.Join(errs, err)
		if err == nil {
			v["traffic-manager"] = manager
		}
	}
	return errors.Join(errs, g.b.object("versions.yaml", v))
}

// kubernetes is the API server's version.
func (g *Gatherer) kubernetes(ctx context.Context) (string, error) {
	raw, err := g.Kube.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", err
	}
	var info apiversion.Info
	if err := json.Unmarshal(raw, &info); err != nil {
		return "", fmt.Errorf("read the API server's version: %w", err)
	}
	return info.GitVersion + " " + info.Platform, nil
}

func (g *Gatherer) readIntercepts(ctx context.Context) error {
	all, err := target.VisibleIntercepts(ctx, g.Client, g.Namespace, g.ManagerNamespace)
	if err != nil {
		return err
	}
	g.intercepts = all
	for _, i := range all {
		g.namespace(i.Namespace)
		g.user(i.Spec.User)
		g.about[i.Namespace+"/"+i.Name] = true
		for _, p := range i.Status.Pods {
			g.b.names.Add("pod", p.Name)
		}
		if m := i.Spec.Match; m != nil {
			for _, c := range slices.Concat(m.Headers, m.Cookies, m.QueryParams) {
				if redact.Secret(c.Name) {
					g.b.secrets.Add(c.Regexp)
				}
			}
		}
	}
	return g.b.object("objects/intercepts.yaml", v1alpha1.InterceptList{Items: all})
}

// readSessions reads every Session or, if the user may not list them, this machine's.
func (g *Gatherer) readSessions(ctx context.Context) error {
	var list v1alpha1.SessionList
	err := g.Client.List(ctx, &list, client.InNamespace(g.ManagerNamespace))
	if apierrors.IsForbidden(err) && g.session != "" {
		list.Items = make([]v1alpha1.Session, 1)
		err = g.Client.Get(ctx, client.ObjectKey{Namespace: g.ManagerNamespace, Name: g.session}, &list.Items[0])
	}
	if err != nil {
		return err
	}
	for n := range list.Items {
		s := &list.Items[n]
		g.user(s.Spec.User)
		g.host(s.Spec.Host)
	}
	return g.b.object("objects/sessions.yaml", list)
}

// manager is the pods of the traffic-manager, with their logs.
func (g *Gatherer) manager(ctx context.Context) error {
	pods, err := logs.ManagerPods(ctx, g.Kube, g.ManagerNamespace)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return fmt.Errorf("it has no pod in namespace %q", g.ManagerNamespace)
	}
	for n := range pods {
		p := &pods[n]
		g.podNames(p)
		for _, c := range p.Spec.Containers {
			g.containerLogs(ctx, "manager/"+p.Name, p, c.Name)
		}
	}
	return g.b.object("objects/manager-pods.yaml", corev1.PodList{Items: pods})
}

// containerLogs are the log of a container, and of the instance before.
func (g *Gatherer) containerLogs(ctx context.Context, name string, p *corev1.Pod, container string) {
	s := logs.Container(g.Kube, p, container)
	name += "/" + container
	g.log(ctx, name+".log", s, false)
	restarted := func(s corev1.ContainerStatus) bool { return s.Name == container && s.RestartCount > 0 }
	if slices.ContainsFunc(slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses), restarted) {
		g.log(ctx, name+".previous.log", s, true)
	}
}

// workloads are the pods of everything intercepted, with the logs of their agents. The
// application's logs are its own matter.
func (g *Gatherer) workloads(ctx context.Context) error {
	seen := map[string]bool{}
	for _, i := range g.intercepts {
		ref := resolve.RefString(i.Spec.Workload)
		g.about[i.Namespace+"/"+i.Spec.Workload.Name] = true
		key := i.Namespace + "/" + ref
		if seen[key] {
			continue
		}
		seen[key] = true
		w, err := resolve.Get(ctx, g.Client, i.Namespace, i.Spec.Workload)
		var pods []corev1.Pod
		if err == nil {
			pods, err = w.Pods(ctx, g.Client)
		}
		if err != nil {
			g.b.fail("pods of "+ref+" in namespace "+i.Namespace, err)
			continue
		}
		for _, p := range pods {
			if !slices.ContainsFunc(g.pods, func(o corev1.Pod) bool { return o.UID == p.UID && o.Name == p.Name && o.Namespace == p.Namespace }) {
				g.pods = append(g.pods, p)
			}
		}
	}
	for n := range g.pods {
		p := &g.pods[n]
		g.podNames(p)
		g.secretsIn(p)
		g.about[p.Namespace+"/"+p.Name] = true
		for _, name := range logs.AgentContainers(p) {
			g.containerLogs(ctx, "agents/"+p.Namespace+"/"+p.Name, p, name)
		}
	}
	if len(g.pods) == 0 {
		return nil
	}
	return g.b.object("objects/pods.yaml", corev1.PodList{Items: g.pods})
}

func (g *Gatherer) podNames(p *corev1.Pod) {
	g.b.names.Add("pod", p.Name)
	g.namespace(p.Namespace)
	if p.Spec.NodeName != "" {
		g.host(p.Spec.NodeName)
	}
}

// environments are those of all containers of a pod.
func environments(p *corev1.Pod) (all [][]corev1.EnvVar) {
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		all = append(all, c.Env)
	}
	for _, c := range p.Spec.EphemeralContainers {
		all = append(all, c.Env)
	}
	return all
}

// events are those of the traffic-manager's namespace, and those about what is intercepted.
func (g *Gatherer) events(ctx context.Context) error {
	namespaces := []string{g.ManagerNamespace}
	for _, i := range g.intercepts {
		if !slices.Contains(namespaces, i.Namespace) {
			namespaces = append(namespaces, i.Namespace)
		}
	}
	for _, namespace := range namespaces {
		list, err := g.Kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			g.b.fail("Events in namespace "+namespace, err)
			continue
		}
		var text strings.Builder
		slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return when(&a).Time.Compare(when(&b).Time) })
		for _, e := range list.Items {
			if namespace == g.ManagerNamespace || g.concerns(&e) {
				fmt.Fprintf(&text, "%s %s %s %s/%s: %s (%s)\n", when(&e).UTC().Format("2006-01-02T15:04:05Z"), e.Type, e.Reason,
					strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, e.Message, render.Count(int64(max(e.Count, 1)), "time"))
			}
		}
		g.b.text("events/"+namespace+".txt", text.String())
	}
	return nil
}

// concerns says that an Event is about something intercepted, or about what belongs to it.
func (g *Gatherer) concerns(e *corev1.Event) bool {
	about := e.InvolvedObject.Namespace + "/" + e.InvolvedObject.Name
	for key := range g.about {
		if about == key || strings.HasPrefix(about, key+"-") {
			return true
		}
	}
	return false
}

func when(e *corev1.Event) metav1.Time {
	for _, t := range []metav1.Time{e.LastTimestamp, {Time: e.EventTime.Time}, e.FirstTimestamp} {
		if !t.IsZero() {
			return t
		}
	}
	return e.CreationTimestamp
}

// encoded are the usual texts for a secret of bytes.
func encoded(b []byte) []string {
	return []string{base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b)}
}
