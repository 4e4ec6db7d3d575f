package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/skew"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

func (e *Env) managerChecks() []Check {
	return []Check{
		{"traffic-manager is installed", "traffic-manager is not installed", e.withAPI(func(ctx context.Context) Outcome {
			i, err := e.askInstalled(ctx)
			return e.judgeInstalled(i, err, e.left(ctx, err))
		})},
		{"plugin and traffic-manager fit", "plugin and traffic-manager do not fit", e.withManager(func(ctx context.Context) Outcome {
			i, err := e.askInstalled(ctx)
			if err != nil {
				return skip("you may not read the version of the traffic-manager")
			}
			return judgeSkew(e.Version, i.Version)
		})},
		{fmt.Sprintf("it works in namespace %q", e.Namespace), fmt.Sprintf("it does not work in namespace %q", e.Namespace), e.withManager(func(ctx context.Context) Outcome {
			i, err := e.askInstalled(ctx)
			if err != nil {
				return skip("you may not read where it works")
			}
			return e.judgeManages(i)
		})},
		{"no other traffic-manager works there", "another traffic-manager works there as well", e.withManager(e.neighbors)},
		{"its replicas are ready", "none of its replicas is ready", e.withManager(e.replicas)},
		{"its resources are served", "not all of its resources are served", e.withManager(e.resources)},
		{"its admission policies protect identities", "its admission policies do not protect identities", e.withManager(e.policies)},
		{"it answers through the API server", "it does not answer through the API server", e.withManager(func(ctx context.Context) Outcome {
			r, err := e.Reach(ctx)
			return e.judgeReached(r, err)
		})},
		{"it is reached directly", "it is not reached directly", e.withManager(func(ctx context.Context) Outcome {
			ctx, cancel := context.WithTimeout(ctx, directTimeout)
			defer cancel()
			return judgeDirect(e.Direct(ctx))
		})},
		{"flows take the fast way", "flows do not take the fast way", e.withManager(e.fastWay)},
	}
}

func (e *Env) judgeInstalled(i *target.Installation, err error, left string) Outcome {
	var absent *target.NotInstalledError
	switch {
	case err == nil:
		return ok(fmt.Sprintf("%s in namespace %q", i.Version, e.ManagerNamespace))
	case errors.As(err, &absent) && left != "":
		return fail(fmt.Sprintf("there is none in namespace %q, but of one there are left %s", e.ManagerNamespace, left),
			"kubectl intercept uninstall --force removes that, kubectl intercept leave one's own intercepts; kubectl intercept install puts a traffic-manager there again")
	case errors.As(err, &absent):
		return fail(fmt.Sprintf("there is none in namespace %q", e.ManagerNamespace),
			"kubectl intercept install puts it there; --manager-namespace looks in another namespace")
	case apierrors.IsForbidden(err):
		return warn(render.Error(err), "").unknown()
	}
	return fail(render.Error(err), "").unknown()
}

func (e *Env) judgeManages(i *target.Installation) Outcome {
	if i.Manages(e.Namespace) {
		return ok("")
	}
	o := i.Obstacle(e.Namespace)
	return fail(o.Reason, o.Remedy)
}

// judgeSkew compares the versions of the plugin and the traffic-manager.
func judgeSkew(plugin, manager string) Outcome {
	detail := fmt.Sprintf("plugin %s, traffic-manager %s", plugin, manager)
	fit, older := skew.Compare(plugin, manager)
	hint := skew.UpgradeManager + " brings the traffic-manager to the plugin's version"
	if older {
		hint = skew.UpgradePlugin + " brings the plugin to the traffic-manager's version"
	}
	switch fit {
	case skew.Unknown:
		return warn(detail+": that cannot be compared", skew.UpgradeManager+" makes them the same").unknown()
	case skew.Incompatible:
		return fail(detail, hint)
	case skew.Compatible:
		return warn(detail, hint).saying("plugin and traffic-manager are of different versions")
	}
	return ok(plugin)
}

// replicas counts the traffic-manager's pods that are ready. Developers usually may not
// read the Deployment. For them, it counts what the Role traffic-manager-connect lets
// them read.
func (e *Env) replicas(ctx context.Context) Outcome {
	d, err := e.Kube.AppsV1().Deployments(e.ManagerNamespace).Get(ctx, "traffic-manager", metav1.GetOptions{})
	if err == nil {
		want := 1
		if d.Spec.Replicas != nil {
			want = int(*d.Spec.Replicas)
		}
		return e.judgeReplicas(int(d.Status.ReadyReplicas), want)
	}
	if apierrors.IsNotFound(err) {
		return fail(fmt.Sprintf("there is no deployment traffic-manager in namespace %q", e.ManagerNamespace), "kubectl intercept upgrade makes it again")
	}
	pods, err := e.Kube.CoreV1().Pods(e.ManagerNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=traffic-manager"})
	if apierrors.IsForbidden(err) {
		return skip("you may not read deployments and pods there")
	}
	if err != nil {
		return failedToAsk("list its pods", err)
	}
	ready, want := 0, 0
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil {
			continue
		}
		want++
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	return e.judgeReplicas(ready, want)
}

func (e *Env) judgeReplicas(ready, want int) Outcome {
	detail := fmt.Sprintf("%d of %d", ready, want)
	hint := fmt.Sprintf("kubectl get pods,events -n %s tells why", e.ManagerNamespace)
	switch {
	case want == 0:
		return fail("it has no replicas", fmt.Sprintf("kubectl scale deployment traffic-manager -n %s --replicas=1", e.ManagerNamespace))
	case ready == 0:
		return fail(detail, hint)
	case ready < want:
		return warn(detail, hint).saying("not all of its replicas are ready")
	}
	return ok(detail)
}

// judgeReached judges whether the plugin reaches the traffic-manager, by which transport,
// and how long the round trip takes.
func (e *Env) judgeReached(r *Reached, err error) Outcome {
	if told := carrier.Explain(err); told != err {
		return fail(told.Error(), "--set clientRbac.portForward=true also goes with kubectl intercept install; or have the HTTP Upgrade let through on the way to the API server, which is faster")
	}
	if err != nil {
		return fail(render.Error(err), fmt.Sprintf("kubectl get pods -n %s shows whether it runs; a firewall must let the API server through to its port 443", e.ManagerNamespace))
	}
	detail := fmt.Sprintf("pod %s by %s, round trip %s", cmp.Or(r.Pod, "unknown"), r.Transport, milliseconds(r.RTT))
	switch {
	case r.Refusal != "":
		return fail(r.Refusal, fmt.Sprintf("kubectl logs deployment/traffic-manager -n %s tells more", e.ManagerNamespace)).saying("it answers through the API server, and takes no session")
	case r.Closed != nil:
		return warn(detail+"; the faster way is closed: "+render.Error(r.Closed), "see the Role \"traffic-manager-connect\", and what lies between you and the API server: it must let an HTTP Upgrade pass. Users without rights of their own need the value clientRbac.portForward=true for the slower way").stillSo()
	case r.RTT > slow:
		return warn(detail, "everything that is intercepted takes this long in addition; a VPN or proxy on the way may be the reason").saying("it answers slowly through the API server")
	}
	return ok(detail)
}

// directTimeout bounds the dial without the API server, which sessions can do without.
const directTimeout = 5 * time.Second

// judgeDirect judges whether the plugin reaches the traffic-manager without the API server.
func judgeDirect(r *Reached, err error) Outcome {
	switch {
	case err != nil:
		return warn(render.Error(err)+"; sessions go by the API server, which is slower",
			"the network of this machine has to let connections through to that address, or an administrator sets directAccess.host of the chart to one that it reaches; --transport service-proxy does without")
	case r == nil:
		return skip("the cluster offers no direct way; an administrator opens one with the value directAccess.type of the chart")
	}
	return ok(fmt.Sprintf("pod %s, round trip %s", cmp.Or(r.Pod, "unknown"), milliseconds(r.RTT)))
}

// fastWay opens a line. If that fails, it only warns, because flows then use carriers.
func (e *Env) fastWay(ctx context.Context) Outcome {
	rtt, err := e.Line(ctx)
	if err == nil {
		return ok("a line, round trip " + milliseconds(rtt))
	}
	const slower = "; flows travel on carriers, which is slower"
	if apierrors.IsForbidden(err) {
		return warn("you may not get services/proxy "+carrier.ProxiedService+slower, e.connectHint())
	}
	return warn(render.Error(err)+slower, "see what lies between you and the API server, and between it and the traffic-manager: it must let an HTTP Upgrade pass, also without TLS")
}
