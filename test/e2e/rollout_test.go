//go:build e2e

package e2e

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// rollouts defines the kind as Argo does, as far as it is read here.
const rollouts = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Rollout, listKind: RolloutList, plural: rollouts, singular: rollout, shortNames: [ro]}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

const argoRollout = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: quote}
spec:
  replicas: 1
  strategy: {canary: {}}
  selector: {matchLabels: {app: quote}}
  template:
    metadata: {labels: {app: quote}}
    spec: {containers: [{name: quote, image: "kubectl-intercept.dev/test/quote:dev", ports: [{name: http, containerPort: 8080}]}]}
`

func object(l *lab.Lab, text string) *unstructured.Unstructured {
	l.Helper()
	o := &unstructured.Unstructured{}
	l.Must(yaml.Unmarshal([]byte(text), &o.Object))
	return o
}

// TestSidecarRollout: an Argo Rollout. The test stands in for its controller,
// which makes a ReplicaSet; the rest is Kubernetes' own.
func TestSidecarRollout(t *testing.T) {
	l := lab.New(t, clusters)
	define(l, object(l, rollouts))
	o := object(l, argoRollout)
	o.SetNamespace(l.Namespace)
	l.Must(l.Client.Create(t.Context(), o))
	l.ApplyOnly("rollout.yaml", "UID", string(o.GetUID()))
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	_, err := kubectl(l, "create", "role", "rollouts", "-n", l.Namespace, "--verb=get,list,watch", "--resource=rollouts.argoproj.io")
	l.Must(err)
	_, err = kubectl(l, "create", "rolebinding", "rollouts", "-n", l.Namespace, "--role=rollouts", "--user=alice")
	l.Must(err)
	stream := l.Stream(quote)
	alice.Intercept("add", "rollout/quote", "--inject", "sidecar", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	intact(l, stream)
	var after unstructured.Unstructured
	after.SetGroupVersionKind(o.GroupVersionKind())
	l.Must(l.Client.Get(t.Context(), client.ObjectKeyFromObject(o), &after))
	if after.GetGeneration() != o.GetGeneration() || after.GetResourceVersion() != o.GetResourceVersion() {
		t.Error("the Rollout has changed")
	}
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
	alice.Intercept("uninstall", "agent", "rollout/quote", "-n", l.Namespace)
	l.Until("a pod without sidecar is left", func() error {
		pods := l.Pods()
		if len(pods) != 1 || strings.Contains(strings.Join(containers(&pods[0]), " "), "traffic-agent") || pods[0].Status.Phase != corev1.PodRunning {
			return errors.New("not yet")
		}
		return nil
	})
}
