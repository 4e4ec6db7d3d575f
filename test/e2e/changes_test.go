//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestChanges scales up, rolls out and evicts during an intercept. New pods
// take part by themselves, and callers notice nothing: the application is one
// whose rollout costs no request, so every failure is the intercept's. With
// --keep-established, since otherwise a request that the application of a new
// pod has is cut off when the pod begins to take part.
func TestChanges(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("replicas.yaml", "replicas: 3", "replicas: 1")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""), "--keep-established")
	for _, change := range []struct {
		name string
		do   func(*lab.Lab)
	}{
		{"scale up", func(l *lab.Lab) { scale(l, 3) }},
		{"rollout", rollout},
		{"eviction", evict},
		{"scale down", func(l *lab.Lab) { scale(l, 1) }},
	} {
		old := l.Lives()
		stream := l.Stream(quote)
		change.do(l)
		l.Ready()
		l.Until("every pod serves the intercept", func() error { return allServe(l) })
		l.EveryPod("8080", "alice")
		answers, failures := stream.Stop()
		t.Logf("%s: %v", change.name, answers)
		if len(failures) > 0 {
			t.Errorf("%s: %d requests failed: %v", change.name, len(failures), failures)
		}
		if l.Lives() == old {
			t.Errorf("%s changed nothing", change.name)
		}
	}
	alice.Intercept("leave", "quote")
	l.EveryPod("8080", lab.Application)
}

// allServe says whether the intercept is active in exactly the pods there are.
func allServe(l *lab.Lab) error {
	i, err := l.Get("quote")
	if err != nil {
		return err
	}
	state := map[string]v1alpha1.PodState{}
	for _, p := range i.Status.Pods {
		state[p.Name] = p.State
	}
	pods := l.Pods()
	for _, p := range pods {
		if state[p.Name] != v1alpha1.PodActive {
			return fmt.Errorf("pod %s is %q", p.Name, state[p.Name])
		}
	}
	if i.Status.State != v1alpha1.StateActive {
		return fmt.Errorf("it is %s: %s", i.Status.State, i.Status.Message)
	}
	return nil
}

func scale(l *lab.Lab, replicas int32) {
	l.Helper()
	edit(l, func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To(replicas) })
	l.Ready()
}

// rollout replaces every pod, as `kubectl rollout restart` does.
func rollout(l *lab.Lab) {
	l.Helper()
	d := edit(l, func(d *appsv1.Deployment) {
		d.Spec.Template.Annotations = map[string]string{"restarted": time.Now().Format(time.RFC3339Nano)}
	})
	l.Until("the rollout is complete", func() error {
		if err := l.Client.Get(l.Context(), client.ObjectKeyFromObject(d), d); err != nil {
			return err
		}
		if s := d.Status; s.ObservedGeneration != d.Generation || s.UpdatedReplicas != *d.Spec.Replicas || s.Replicas != s.UpdatedReplicas {
			return fmt.Errorf("%d of %d pods are new", s.UpdatedReplicas, s.Replicas)
		}
		return nil
	})
}

// evict moves one pod away, as draining its node does.
func evict(l *lab.Lab) {
	l.Helper()
	p := l.Pods()[0]
	l.Must(l.Kube.PolicyV1().Evictions(l.Namespace).Evict(l.Context(),
		&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: p.Name}}))
	l.Until("pod "+p.Name+" is gone", func() error {
		if err := l.Client.Get(l.Context(), client.ObjectKeyFromObject(&p), &p); err == nil {
			return errors.New("it is there")
		} else {
			return client.IgnoreNotFound(err)
		}
	})
}

func edit(l *lab.Lab, change func(*appsv1.Deployment)) *appsv1.Deployment {
	l.Helper()
	var d appsv1.Deployment
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Namespace: l.Namespace, Name: "quote"}, &d))
	old := d.DeepCopy()
	change(&d)
	l.Must(l.Client.Patch(l.Context(), &d, client.MergeFrom(old)))
	return &d
}
