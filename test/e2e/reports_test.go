//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestLocalPortChanges: what changes on the laptop only, or in the Service that
// is named, is served without a word from the agents, which have nothing new to
// say. Nobody connects in between.
func TestLocalPortChanges(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.Must(l.Client.Create(t.Context(), service(l, "other")))
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	first, second := alice.Serve("first"), alice.Serve("second")
	alice.Intercept("add", "quote", "--service", "quote", "--port", first.To("http"))
	alice.Intercept("add", "quote", "--service", "quote", "--port", second.To("http"))
	l.Eventually(quote, "second")
	alice.Intercept("add", "quote", "--service", "other", "--port", second.To("http"))
	l.Eventually(quote, "second")
	alice.Intercept("add", "quote", "--service", "other", "--port", first.To("http"), "--no-fallback")
	l.Eventually(quote, "first")
	alice.Intercept("leave", "quote")
	l.Eventually(quote, lab.Application)
}

// service leads to the port http of quote under another name.
func service(l *lab.Lab, name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: name},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "quote"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}}}
}

// TestAddTakesOverRun: add takes the port of one's own run, and where add
// fails the program has its traffic again.
func TestAddTakesOverRun(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("pod.yaml", "LISTEN", ":8080")
	quote := l.Serving("quote", "http")
	alice := ordinaryUser(l, l.Laptop("alice"), 12345)
	laptop := alice.Serve("the laptop")
	program := []string{"run", "pod/quote", "--port", "8080:http", "--", l.Bin("quote"), "-listen=:8080", "-name=the program"}
	r := alice.begin(l.Namespace, program...)
	l.Eventually(quote, "the program")
	if _, errs, code := alice.output(l.Namespace, "add", "pod/quote", "--inject", "sidecar", "--port", laptop.To("http")); code == 0 {
		t.Errorf("a bare pod has got a sidecar: %s", errs)
	}
	l.State("quote", v1alpha1.StateActive)
	l.Eventually(quote, "the program")
	if _, errs, code := alice.output(l.Namespace, "add", "pod/quote", "--port", laptop.To("http")); code != 0 {
		t.Errorf("add does not take over: %s", errs)
	}
	l.Eventually(quote, "the laptop")
	l.Must(r.Process.Signal(syscall.SIGTERM))
	alice.ends(r)
	l.Answers(quote, "the laptop")
}

// burn keeps a core busy until the test ends.
func burn(l *lab.Lab) {
	ctx, stop := context.WithCancel(l.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for n := range 1_000_000 {
				_ = n * n
			}
		}
	}()
	l.Cleanup(func() { stop(); <-done })
}

// whenGone is the last state of an intercept that goes by leave: what was known when
// the traffic-manager let it go.
func whenGone(l *lab.Lab, name string, leave func()) *v1alpha1.Intercept {
	l.Helper()
	w, err := l.Client.Watch(l.Context(), &v1alpha1.InterceptList{}, client.InNamespace(l.Namespace))
	l.Must(err)
	defer w.Stop()
	leave()
	limit := time.After(lab.Patience)
	for {
		select {
		case e, ok := <-w.ResultChan():
			if i, is := e.Object.(*v1alpha1.Intercept); is && e.Type == watch.Deleted && i.Name == name {
				return i
			}
			if !ok {
				l.Fatal("the watch has ended")
			}
		case <-limit:
			l.Fatalf("intercept %s is there", name)
		}
	}
}

// TestLeaveHearsEveryAgent: an intercept goes when its agents have given back,
// not when the time is over in which they could have; beside a busy core, on a
// workload of three pods, whose agents are connected with one traffic-manager or
// with two.
func TestLeaveHearsEveryAgent(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("replicas.yaml")
	l.Serving("quote", "http")
	alice := l.Laptop("alice")
	port := alice.Serve("alice").To("http")
	restored(l)
	burn(l)
	for _, replicas := range []string{"1", "2"} {
		upgradeAgain(l, "--set", "replicas="+replicas)
		for n := range 20 {
			alice.Intercept("add", "quote", "--port", port)
			i := whenGone(l, "quote", func() {
				if n%2 == 0 {
					alice.Intercept("leave", "quote")
				} else {
					alice.Kubectl("delete", "intercept", "quote")
				}
			})
			for _, p := range i.Status.Pods {
				t.Errorf("with %s traffic-managers: the intercept went while it said of pod %s: %s", replicas, p.Name, p.State)
			}
		}
		var list corev1.PodList
		l.Must(l.Client.List(t.Context(), &list, client.InNamespace(lab.ManagerNamespace)))
		for _, p := range list.Items {
			if n := strings.Count(l.Log(&p), "agents that did not give back"); n > 0 {
				t.Errorf("%s has not heard of agents that gave back: %d times", p.Name, n)
			}
		}
	}
}

// TestDeadReplica: a pod on a node that is gone is left out, and said so; the
// others serve.
func TestDeadReplica(t *testing.T) {
	l := lab.New(t, clusters)
	node := deadNode(l)
	// All at once: a pod of an earlier revision might be on the dead node, and stay.
	l.ApplyOnly("quote.yaml", "  selector: {matchLabels", "  replicas: 3\n  selector: {matchLabels", "      containers:\n", apart+"      containers:\n")
	var dead *corev1.Pod
	l.Until("two pods are ready, and one is where nobody starts it", func() error {
		dead = nil
		n := 0
		for _, p := range l.Pods() {
			if p.Spec.NodeName == node {
				dead = &p
			} else if podReady(&p) {
				n++
			}
		}
		if n != 2 || dead == nil {
			return fmt.Errorf("%d are ready, dead is %v", n, dead != nil)
		}
		return nil
	})
	was := dead.DeepCopy()
	dead.Status.Phase, dead.Status.PodIP, dead.Status.PodIPs = corev1.PodRunning, "10.244.250.7", []corev1.PodIP{{IP: "10.244.250.7"}}
	dead.Status.Conditions = append(dead.Status.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
		corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse})
	l.Must(l.Client.Status().Patch(t.Context(), dead, client.MergeFrom(was)))
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	o := alice.Intercept("add", "quote", "--port", alice.Serve("alice").To("http"))
	if !strings.Contains(o.Err, "pod "+dead.Name+" is left out") {
		t.Error("add does not say which pod is left out")
	}
	for range 10 {
		l.Answers(quote, "alice")
	}
	if i := l.State("quote", v1alpha1.StateActive); !strings.Contains(i.Status.Message, "pod "+dead.Name+" is left out") {
		t.Errorf("the intercept says %q", i.Status.Message)
	}
	if out, err := alice.RunQuiet("status"); err != nil || !strings.Contains(out, dead.Name) {
		t.Errorf("status does not say which: %v %s", err, out)
	}
	alice.Intercept("leave", "quote")
	l.Eventually(quote, lab.Application)
}

// deadNode is a node that takes a pod, and on which there is no kubelet.
func deadNode(l *lab.Lab) string {
	l.Helper()
	name := "dead-" + l.Namespace
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	l.Cleanup(func() { l.Must(client.IgnoreNotFound(l.Client.Delete(context.Background(), node))) })
	l.Must(l.Client.Create(l.Context(), node))
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourcePods: resource.MustParse("1")}
	was := node.DeepCopy()
	node.Status = corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}}}
	l.Must(l.Client.Status().Patch(l.Context(), node, client.MergeFrom(was)))
	return name
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// TestAgentImageAbsent: what keeps the agent from starting is said once, with
// its reason, however often the kubelet tries.
func TestAgentImageAbsent(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	alice := l.Laptop("alice")
	upgrade(l, "--set", "agent.image.tag=absent")
	o := alice.Refused([]string{"add", "quote", "--inject", "ephemeral", "--port", alice.Serve("alice").To("http"), "--timeout", "45s"}, "timed out after 45s")
	said, _, _ := strings.Cut(o.Err, "condition")
	var lines []string
	for line := range strings.Lines(said) {
		if strings.Contains(line, "pull") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 || !strings.Contains(lines[0], "the image kubectl-intercept.dev/traffic-agent:absent cannot be pulled: ") {
		t.Errorf("add says\n%s", strings.Join(lines, ""))
	}
	alice.Intercept("leave", "quote")
}

// condition is one of an intercept; nil if it is not there.
func condition(l *lab.Lab, name, kind string) *metav1.Condition {
	l.Helper()
	i, err := l.Get(name)
	l.Must(err)
	return meta.FindStatusCondition(i.Status.Conditions, kind)
}

// TestUnreadyPods: to pods that are not ready no Service sends anything, and to
// pods that do not run nobody; add, status and the conditions say so, and why.
func TestUnreadyPods(t *testing.T) {
	l := lab.New(t, clusters)
	alice := l.Laptop("alice")
	port := alice.Serve("alice").To("8080")
	for name, one := range map[string]struct{ pod, want string }{
		"probe": {"args: [-listen=:8080], readinessProbe: {httpGet: {path: /, port: 8081}, periodSeconds: 1}", "container quote does not pass its readiness probe"},
		"loop":  {"args: [-nothing]", "container quote ends again and again: exit code"},
		// Each of its attempts is ready for a moment, of a length that a test can meet.
		"short": {"args: [-listen=:8080], livenessProbe: {httpGet: {path: /, port: 8081}, periodSeconds: 3, failureThreshold: 1}", "container quote ends again and again: exit code"},
	} {
		l.CreateText(deployment(name, one.pod, ""))
		l.Until(name+" is not ready", func() error { return notReady(l, name) })
		o := alice.Intercept("add", name, "--port", port)
		pod := podOf(l, name)
		next := "kubectl logs " + pod.Name + " -c quote -n " + l.Namespace + " --previous"
		if name == "probe" {
			next = "kubectl describe pod " + pod.Name
		}
		for _, want := range []string{" ready, so Services send it nothing", one.want, next} {
			if !strings.Contains(o.Err, want) {
				t.Errorf("%s: add does not say %q", name, want)
			}
		}
		l.Until("the condition says why", func() error {
			c := condition(l, name, "PodsReady")
			if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, one.want) {
				return fmt.Errorf("it is %+v", c)
			}
			return nil
		})
		l.Until("status says why", func() error {
			out, err := alice.RunQuiet("status")
			if err == nil && !strings.Contains(out, one.want) {
				err = errors.New(out)
			}
			return err
		})
		alice.Intercept("leave", name)
	}
	l.CreateText(deployment("begins", "args: [-listen=:8080]", "initContainers: [{name: early, image: kubectl-intercept.dev/test/quote:dev, args: [-listen=:8082]}]"))
	l.Until("the init container runs", func() error {
		s := podOf(l, "begins").Status.InitContainerStatuses
		if len(s) == 0 || s[0].State.Running == nil {
			return errors.New("not yet")
		}
		return nil
	})
	alice.Refused([]string{"add", "begins", "--port", port, "--timeout", "5s"}, "init container early has not ended yet")
	alice.Intercept("leave", "begins")
	l.CreateText(deployment("none", "args: [-listen=:8080]", "") + "\n")
	_, err := kubectl(l, "scale", "deployment", "none", "--replicas=0", "-n", l.Namespace)
	l.Must(err)
	l.Until("there is no pod", func() error {
		for _, p := range l.Pods() {
			if strings.HasPrefix(p.Name, "none-") {
				return errors.New(p.Name + " is there")
			}
		}
		return nil
	})
	alice.Refused([]string{"add", "none", "--port", port, "--timeout", "5s"}, "deployment/none is scaled to 0 pods", "kubectl scale deployment/none")
	alice.Intercept("leave", "none")
}

func deployment(name, container, spec string) string {
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s}, spec: {selector: {matchLabels: {app: %[1]s}},
  template: {metadata: {labels: {app: %[1]s}}, spec: {terminationGracePeriodSeconds: 1, containers: [
    {name: quote, image: "kubectl-intercept.dev/test/quote:dev", ports: [{containerPort: 8080}], %[2]s}], %[3]s}}}}`, name, container, spec)
}

func podOf(l *lab.Lab, app string) *corev1.Pod {
	l.Helper()
	for _, p := range l.Pods() {
		if p.Labels["app"] == app {
			return &p
		}
	}
	return &corev1.Pod{}
}

// notReady says whether the only pod of an app runs, or has run, and is not ready.
func notReady(l *lab.Lab, app string) error {
	p := podOf(l, app)
	if p.Status.Phase != corev1.PodRunning || len(p.Status.ContainerStatuses) == 0 {
		return fmt.Errorf("it is %s", p.Status.Phase)
	}
	s := p.Status.ContainerStatuses[0]
	// Between two attempts a container has ended, or waits in the back-off: the kubelet
	// says either.
	if runs := s.State.Running != nil; app != "probe" && (s.RestartCount == 0 || runs != (app == "short")) {
		return fmt.Errorf("it is %+v after %d restarts", s.State, s.RestartCount)
	}
	return nil
}

// TestRolloutWindow replaces three pods during an intercept, and counts the requests
// that came to the application meanwhile: new pods are to be the laptop's from their
// first request on. With ephemeral agents 1 to 3 of 100 were measured, and 35 of 100
// when agents entered pods only after these were ready; with sidecars none.
func TestRolloutWindow(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("replicas.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	port := alice.Serve("alice").To("http")
	for _, one := range []struct {
		inject string
		most   int // of 100
	}{{"ephemeral", 10}, {"sidecar", 1}} {
		inject, most := one.inject, one.most
		sum := map[string]int{}
		alice.Intercept("add", "quote", "--port", port, "--inject", inject)
		l.Until("every pod serves the intercept", func() error { return allServe(l) })
		l.Eventually(quote, "alice")
		for range 3 {
			stream := l.Stream(quote)
			rollout(l)
			l.Ready()
			l.Until("every pod serves the intercept", func() error { return allServe(l) })
			answers, failures := stream.Stop()
			t.Logf("%s: during a rollout of three pods %d of %d requests came to the application; failed: %v",
				inject, answers[lab.Application], answers[lab.Application]+answers["alice"], failures)
			for who, n := range answers {
				sum[who] += n
			}
		}
		if all := sum["alice"] + sum[lab.Application]; sum["alice"] == 0 || sum[lab.Application]*100 > all*most {
			t.Errorf("%s: %d of %d requests came to the application, want at most %d of 100", inject, sum[lab.Application], all, most)
		}
		alice.Intercept("leave", "quote")
	}
}
