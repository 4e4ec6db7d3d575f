//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

func object(l *lab.Lab, text string) *unstructured.Unstructured {
	l.Helper()
	o := &unstructured.Unstructured{}
	l.Must(yaml.Unmarshal([]byte(text), &o.Object))
	return o
}

// argo runs Argo Rollouts until the test ends, as its own manifests have it: its
// definitions, its roles, and its controller, which `make images` builds.
func argo(l *lab.Lab) {
	l.Helper()
	_, err := l.Cluster.Tool(l.Context(), "load", "--name", l.Cluster.Name, l.Bin("rollouts/image.tar"))
	l.Must(err)
	text, err := os.ReadFile(l.Bin("rollouts/install.yaml"))
	l.Must(err)
	const image = "kubectl-intercept.dev/test/rollouts:dev"
	manifest := strings.NewReplacer("quay.io/argoproj/argo-rollouts:latest", image, "imagePullPolicy: Always", "imagePullPolicy: Never").Replace(string(text))
	file := filepath.Join(l.TempDir(), "rollouts.yaml")
	l.Must(os.WriteFile(file, []byte(manifest), 0o600))
	_, err = kubectl(l, "create", "namespace", "argo-rollouts")
	l.Must(err)
	l.Cleanup(func() {
		for _, args := range [][]string{{"delete", "--ignore-not-found", "-n", "argo-rollouts", "-f", file}, {"delete", "namespace", "argo-rollouts"}} {
			if out, err := kubectlWithin(context.Background(), l, args...); err != nil {
				l.Errorf("%v: %s", err, out)
			}
		}
	})
	_, err = kubectl(l, "apply", "--server-side", "-n", "argo-rollouts", "-f", file)
	l.Must(err)
	l.Until("the API server serves Rollouts", func() error {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "RolloutList"})
		return l.Client.List(l.Context(), list)
	})
	l.Until("who may edit may read Rollouts", func() error {
		rules, err := kubectl(l, "get", "clusterrole", "edit", "-o", "jsonpath={.rules[*].apiGroups}")
		if err == nil && !strings.Contains(rules, "argoproj.io") {
			err = errors.New(rules)
		}
		return err
	})
}

// TestSidecarRollout: an Argo Rollout under its own controller, in both of its
// strategies. With blue and green the controller has Services select pods by
// the very label by which a ReplicaSet holds them: nothing can stand in for
// the pod while it is replaced.
func TestSidecarRollout(t *testing.T) {
	l := lab.New(t, clusters)
	argo(l)
	for _, one := range [][2]string{{"green", "{blueGreen: {activeService: green}}"}, {"canary", "{canary: {}}"}} {
		name, strategy := one[0], one[1]
		l.ApplyOnly("rollout.yaml", "NAME", name, "STRATEGY", strategy)
		serving := l.Serving(name, "http")
		key := client.ObjectKey{Namespace: l.Namespace, Name: name}
		rollout := func() *unstructured.Unstructured {
			l.Helper()
			o := &unstructured.Unstructured{}
			o.SetGroupVersionKind(schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"})
			l.Must(l.Client.Get(l.Context(), key, o))
			return o
		}
		// A Rollout whose first revision is not out yet sends callers to the next one at
		// once, ready or not.
		l.Until("the first revision is out", func() error { return out(rollout(), "") })
		before := rollout()
		alice := l.Laptop("alice-" + name)
		var stream *lab.Tally
		if name == "canary" {
			stream = l.Stream(serving)
		}
		alice.Intercept("add", "rollout/"+name, "--inject", "sidecar", "--port", alice.Serve("alice").To(""))
		if stream == nil {
			// The Service had no pod for a while, and kube-proxy learns of the new one on
			// its own time.
			l.Eventually(serving, "alice")
		} else {
			l.Answers(serving, "alice")
			intact(l, stream)
		}
		after := rollout()
		if spec, was := after.Object["spec"], before.Object["spec"]; after.GetGeneration() != before.GetGeneration() || fmt.Sprint(spec) != fmt.Sprint(was) {
			t.Errorf("the Rollout has changed from %v to %v", was, spec)
		}

		// The next revision is intercepted as well.
		_, err := kubectl(l, "patch", "rollout", name, "-n", l.Namespace, "--type=json",
			`-p=[{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"revision": "2"}}]`)
		l.Must(err)
		l.Until("the next revision is out", func() error {
			was, _, _ := unstructured.NestedString(before.Object, "status", "stableRS")
			return out(rollout(), was)
		})
		l.Answers(serving, "alice")

		alice.Intercept("leave", name)
		l.Answers(serving, lab.Application)
		alice.Intercept("uninstall", "agent", "rollout/"+name, "-n", l.Namespace)
		l.Until("a pod without sidecar is left", func() error {
			for _, pod := range l.Pods() {
				if strings.Contains(strings.Join(containers(&pod), " "), "traffic-agent") || pod.Status.Phase != corev1.PodRunning {
					return errors.New("not yet")
				}
			}
			return nil
		})
	}
}

// out returns an error unless every pod of a Rollout is of one revision, which is another
// than before.
func out(rollout *unstructured.Unstructured, before string) error {
	current, _, _ := unstructured.NestedString(rollout.Object, "status", "currentPodHash")
	stable, _, _ := unstructured.NestedString(rollout.Object, "status", "stableRS")
	phase, _, _ := unstructured.NestedString(rollout.Object, "status", "phase")
	if stable == before || current != stable || phase != "Healthy" {
		return fmt.Errorf("from %q to %q, stable %q: %s", before, current, stable, phase)
	}
	return nil
}
