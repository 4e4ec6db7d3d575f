// Package v1alpha1 holds the API group kubectl-intercept.dev/v1alpha1: what
// the plugin writes, what the traffic-manager reconciles and what
// `kubectl get intercepts` prints. It is the contract between every part of
// the product that speaks to the Kubernetes API.
//
// An Intercept lives in the namespace of the workload whose traffic it takes;
// a Session, one connected developer machine, lives in the namespace of the
// traffic-manager. Deleting an object ends what it stands for.
//
// +kubebuilder:object:generate=true
// +groupName=kubectl-intercept.dev
package v1alpha1
