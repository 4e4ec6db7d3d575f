// Package target finds in the cluster what a command line names: a workload,
// a Service and the workload behind it, and names that are near to one that
// does not exist.
package target

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Kinds lists what can be intercepted, the way messages offer it.
const Kinds = "deployment, statefulset, daemonset, replicaset, job, pod, service or rollouts.argoproj.io"

// Rollout is the group and version of Argo Rollouts.
func Rollout() schema.GroupVersion {
	return schema.GroupVersion{Group: "argoproj.io", Version: "v1alpha1"}
}

// Parse reads TYPE/NAME, or NAME, which means a Deployment. TYPE is spelled
// as for kubectl: singular, plural, short, with or without its group.
func Parse(arg string) (v1alpha1.WorkloadReference, error) {
	kind, name, found := strings.Cut(arg, "/")
	if !found {
		kind, name = "deployment", arg
	}
	if name == "" || kind == "" || strings.Contains(name, "/") {
		return v1alpha1.WorkloadReference{}, fmt.Errorf("%q names no workload: write TYPE/NAME, for example deployment/quote", arg)
	}
	ref, ok := kindOf(kind)
	if !ok {
		return v1alpha1.WorkloadReference{}, fmt.Errorf("type %q of %q cannot be intercepted: use %s", kind, arg, Kinds)
	}
	ref.Name = name
	return ref, nil
}

// IsType says whether the word names a type Parse knows.
func IsType(word string) bool {
	_, ok := kindOf(word)
	return ok
}

// kindOf knows the spellings kubectl accepts: "deploy", "deployments.apps",
// "deployments.v1.apps".
func kindOf(word string) (v1alpha1.WorkloadReference, bool) {
	word, group, _ := strings.Cut(strings.ToLower(word), ".")
	var gv schema.GroupVersion
	var kind string
	switch word {
	case "deployment", "deployments", "deploy":
		gv, kind = appsv1.SchemeGroupVersion, "Deployment"
	case "statefulset", "statefulsets", "sts":
		gv, kind = appsv1.SchemeGroupVersion, "StatefulSet"
	case "daemonset", "daemonsets", "ds":
		gv, kind = appsv1.SchemeGroupVersion, "DaemonSet"
	case "job", "jobs":
		gv, kind = batchv1.SchemeGroupVersion, "Job"
	case "replicaset", "replicasets", "rs":
		gv, kind = appsv1.SchemeGroupVersion, "ReplicaSet"
	case "pod", "pods", "po":
		gv, kind = corev1.SchemeGroupVersion, "Pod"
	case "service", "services", "svc":
		gv, kind = corev1.SchemeGroupVersion, "Service"
	case "rollout", "rollouts", "ro":
		gv, kind = Rollout(), "Rollout"
	default:
		return v1alpha1.WorkloadReference{}, false
	}
	if group != "" && group != gv.Group && group != gv.Version+"."+gv.Group {
		return v1alpha1.WorkloadReference{}, false
	}
	return v1alpha1.WorkloadReference{APIVersion: gv.String(), Kind: kind}, true
}
