//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Patience is how long a condition may take by default. It is long because a machine
// may be slow. A test of something that must be fast calls Within with a limit.
const Patience = 60 * time.Second

// Lab is a cluster as one test sees it, with a namespace of the test's own.
type Lab struct {
	*testing.T
	*Cluster
	Namespace string

	began   time.Time
	laptops []*Laptop
}

// New waits until the pool has a cluster for this test alone, and makes a namespace
// there. The test runs in parallel with tests in other clusters.
func New(t *testing.T, p *Pool) *Lab {
	t.Helper()
	t.Parallel()
	c, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.give(c) })
	return newLab(t, c)
}

// Another returns a Lab in the same cluster, with another namespace.
func (l *Lab) Another() *Lab {
	l.Helper()
	return newLab(l.T, l.Cluster)
}

// Elsewhere returns a Lab in another cluster. Only one of the tests that run in
// parallel may call it: two could each hold a cluster and wait for the other's.
func (l *Lab) Elsewhere(p *Pool) *Lab {
	l.Helper()
	c, err := p.take(l.Context())
	l.Must(err)
	l.Cleanup(func() { p.give(c) })
	return newLab(l.T, c)
}

func newLab(t *testing.T, c *Cluster) *Lab {
	t.Helper()
	l := &Lab{T: t, Cluster: c, began: time.Now()}
	l.Namespace = l.NewNamespace(nil)
	return l
}

// NewNamespace makes a namespace, and deletes it when the test ends.
func (l *Lab) NewNamespace(labels map[string]string) string {
	l.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: labels}}
	l.Must(l.Client.Create(l.Context(), ns))
	l.Cleanup(func() {
		if l.Failed() {
			l.showNamespace(ns.Name)
		}
		if err := l.Client.Delete(context.Background(), ns); client.IgnoreNotFound(err) != nil {
			l.Errorf("delete namespace %s: %v", ns.Name, err)
		}
	})
	return ns.Name
}

// Must ends the test if err is not nil.
func (l *Lab) Must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// Apply creates the objects in a file of test/manifests and waits until their pods
// are ready. Replace has pairs of old and new text, as for strings.NewReplacer.
func (l *Lab) Apply(file string, replace ...string) {
	l.Helper()
	l.ApplyOnly(file, replace...)
	l.Ready()
}

// ApplyOnly is Apply without the wait.
func (l *Lab) ApplyOnly(file string, replace ...string) {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.root, "test", "manifests", file))
	l.Must(err)
	l.create(strings.NewReplacer(replace...).Replace(string(text)))
}

// ApplyText is Apply for the text of a manifest.
func (l *Lab) ApplyText(text string) {
	l.Helper()
	l.create(text)
	l.Ready()
}

// CreateText is ApplyText without the wait.
func (l *Lab) CreateText(text string) {
	l.Helper()
	l.create(text)
}

func (l *Lab) create(text string) {
	l.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(o); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			l.Fatalf("manifest: %v", err)
		}
		if len(o.Object) == 0 {
			continue
		}
		o.SetNamespace(l.Namespace)
		l.Must(l.Client.Create(l.Context(), o))
	}
}

// Ready waits until the namespace has exactly the pods that its workloads ask for,
// and all are ready.
func (l *Lab) Ready() {
	l.Helper()
	l.Until("every pod is ready", func() error {
		want, err := l.wanted()
		if err != nil {
			return err
		}
		pods, err := l.pods()
		if err != nil {
			return err
		}
		for _, p := range pods {
			if metav1.GetControllerOf(&p) == nil {
				want++
			}
			if !ready(&p) {
				return fmt.Errorf("pod %s is not ready: %s", p.Name, p.Status.Phase)
			}
		}
		if len(pods) != want {
			return fmt.Errorf("%d pods, want %d", len(pods), want)
		}
		return nil
	})
}

// wanted returns how many pods the workloads of the namespace ask for.
func (l *Lab) wanted() (int, error) {
	var ds appsv1.DeploymentList
	var ss appsv1.StatefulSetList
	var rs appsv1.ReplicaSetList
	var daemons appsv1.DaemonSetList
	var jobs batchv1.JobList
	for _, list := range []client.ObjectList{&ds, &ss, &rs, &daemons, &jobs} {
		if err := l.Client.List(l.Context(), list, client.InNamespace(l.Namespace)); err != nil {
			return 0, err
		}
	}
	want := 0
	for _, d := range ds.Items {
		if d.Status.ObservedGeneration != d.Generation {
			return 0, fmt.Errorf("deployment %s is not observed yet", d.Name)
		}
		want += int(*d.Spec.Replicas)
	}
	for _, s := range ss.Items {
		want += int(*s.Spec.Replicas)
	}
	for _, r := range rs.Items {
		if metav1.GetControllerOf(&r) == nil {
			want += int(*r.Spec.Replicas)
		}
	}
	for _, d := range daemons.Items {
		if d.Status.ObservedGeneration != d.Generation {
			return 0, fmt.Errorf("daemonset %s is not observed yet", d.Name)
		}
		want += int(d.Status.DesiredNumberScheduled)
	}
	for _, j := range jobs.Items {
		want += int(*j.Spec.Parallelism)
	}
	return want, nil
}

// Allow binds a ClusterRole to a user in a namespace.
func (l *Lab) Allow(user, role, namespace string) {
	l.Helper()
	l.Must(l.Client.Create(l.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user + "-" + role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
}

// AllowPortForward lets everybody forward ports to the traffic-manager until the test ends, as
// the value clientRbac.portForward does.
func (l *Lab) AllowPortForward() {
	l.Helper()
	m := metav1.ObjectMeta{Namespace: ManagerNamespace, Name: "port-forward"}
	role := &rbacv1.Role{ObjectMeta: m, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}},
		{APIGroups: []string{""}, Resources: []string{"pods/portforward"}, Verbs: []string{"create", "get"}}}}
	binding := &rbacv1.RoleBinding{ObjectMeta: m, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: m.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:authenticated"}}}
	for _, o := range []client.Object{role, binding} {
		l.Must(l.Client.Create(l.Context(), o))
		l.Cleanup(func() {
			if err := l.Client.Delete(context.Background(), o); client.IgnoreNotFound(err) != nil {
				l.Error(err)
			}
		})
	}
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil
		}
	}
	return false
}
