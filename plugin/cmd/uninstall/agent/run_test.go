package agent

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve/resolvetest"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

var labels = map[string]string{"app": "quote"}

// pod has a sidecar, brought by an intercept or by an annotation; or an
// ephemeral agent, for traffic or for a stand-in.
func pod(name, agent string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: labels, Annotations: map[string]string{},
		OwnerReferences: resolvetest.Owned("ReplicaSet", "quote-a")},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "quote"}}}}
	const layout = `{"uid":65431,"ports":[{"name":"http","number":8080,"protocol":"TCP","agent":9900}]`
	switch agent {
	case "sidecar":
		p.Annotations[sidecar.Annotation] = layout + `,"onDemand":true}`
	case "annotated":
		p.Annotations[sidecar.Annotation] = layout + "}"
	case "ephemeral", "stand-in":
		name := map[string]string{"ephemeral": "traffic-agent", "stand-in": "stand-in-agent-2"}[agent]
		p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	if p.Annotations[sidecar.Annotation] != "" {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: sidecar.Container})
	}
	return p
}

// elsewhere is a pod in another namespace than shop.
func elsewhere(p *corev1.Pod) *corev1.Pod {
	p.Namespace = "blog"
	return p
}

func TestRun(t *testing.T) {
	deployment, replicas := resolvetest.Quote(labels)
	intercept := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote"},
		Spec: v1alpha1.InterceptSpec{User: "alice", Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"}}}
	ref := &intercept.Spec.Workload
	for _, tt := range []struct {
		name             string
		objects          []client.Object
		all, stuck, step bool
		everywhere       bool // -A
		out, errOut, err string
		asked            string
	}{
		{name: "none", objects: []client.Object{pod("a", "")}, errOut: "no agents to remove of deployment/quote\n"},
		{name: "sidecars and ephemeral", objects: []client.Object{pod("a", "sidecar"), pod("b", "ephemeral"), pod("c", ""), pod("d", "stand-in")},
			out: "removed the agents from 3 pods of deployment/quote\n", asked: "a b d"},
		{name: "by annotation", objects: []client.Object{pod("a", "annotated")},
			errOut: "pod a keeps its agent: an annotation of its template wants one, kubectl-intercept.dev/inject or its like\nno agents to remove of deployment/quote\n"},
		{name: "intercepted", objects: []client.Object{pod("a", "sidecar"), intercept},
			err: "deployment/quote is intercepted by alice: end it first with kubectl intercept leave quote -n shop"},
		{name: "all, one intercepted", all: true, objects: []client.Object{pod("a", "sidecar"), pod("b", "sidecar"), intercept},
			errOut: "deployment/quote in namespace shop keeps its agents: it is intercepted by alice\nno agents to remove in namespace shop\n"},
		{name: "all", all: true, objects: []client.Object{pod("a", "ephemeral")}, out: "removed the agents from 1 pod in namespace shop\n", asked: "a"},
		{name: "all of all namespaces", all: true, everywhere: true, objects: []client.Object{pod("a", "ephemeral"), elsewhere(pod("b", "sidecar"))},
			out: "removed the agents from 2 pods in all namespaces\n", asked: "b a"},
		{name: "none in all namespaces", all: true, everywhere: true, objects: []client.Object{pod("a", "")}, errOut: "no agents to remove in all namespaces\n"},
		{name: "nobody acts", stuck: true, objects: []client.Object{pod("a", "sidecar")}, asked: "a",
			err: "agents are still in a; the traffic-manager goes on trying: a PodDisruptionBudget may hold it up, or new pods that are not ready"},
		{name: "nobody acts any more", stuck: true, all: true, step: true, objects: []client.Object{pod("a", "sidecar")}, asked: "a",
			err: "agents are still in shop/a: a PodDisruptionBudget may hold it up, or new pods that are not ready"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := runtime.NewScheme()
			if err := clientgoscheme.AddToScheme(s); err != nil {
				t.Fatal(err)
			}
			if err := v1alpha1.AddToScheme(s); err != nil {
				t.Fatal(err)
			}
			var asked []string
			// A traffic-manager that acts at once: it deletes the pods.
			manager := interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				asked = append(asked, o.GetName())
				if tt.stuck {
					return c.Patch(ctx, o, p, opts...)
				}
				return c.Delete(ctx, o)
			}}
			c := fake.NewClientBuilder().WithScheme(s).WithObjects(deployment.DeepCopy(), replicas.DeepCopy()).WithObjects(tt.objects...).WithInterceptorFuncs(manager).Build()
			var out, errOut bytes.Buffer
			o := &Options{IOStreams: genericiooptions.IOStreams{Out: &out, ErrOut: &errOut}, Ref: ref, Namespace: "shop", Wait: true,
				Timeout: 200 * time.Millisecond, Interval: 10 * time.Millisecond, Client: c, Now: time.Now}
			if tt.all {
				o.Ref = nil
			}
			if tt.everywhere {
				o.Namespace = ""
			}
			if tt.step {
				o.Step, o.Namespace = true, ""
			}
			err := o.Run(context.Background())
			if err == nil && tt.err != "" || err != nil && err.Error() != tt.err {
				t.Errorf("error %v, want %s", err, tt.err)
			}
			if out.String() != tt.out || errOut.String() != tt.errOut || strings.Join(asked, " ") != tt.asked {
				t.Errorf("out %q, err %q, asked %v", out.String(), errOut.String(), asked)
			}
		})
	}
}
