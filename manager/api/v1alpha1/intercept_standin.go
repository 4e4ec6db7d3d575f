package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// StandIn asks for one of the workload's pods, which the laptop can stand in for: a
// program there can have the environment of the pod's container. That is what somebody
// gets by "kubectl exec", so the owner of the Intercept must be allowed to
// "create pods/exec" in the namespace.
type StandIn struct {
	// Container is the name of the container. Empty means the one with the first of the
	// intercepted ports; without ports the one that the annotation
	// kubectl.kubernetes.io/default-container names, or else the pod's first.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Container string `json:"container,omitempty"`
}

// StandInStatus is the pod that the laptop can stand in for.
type StandInStatus struct {
	// ObservedGeneration is the generation of the Intercept that this is about.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Pod is the name of the pod, and UID tells it from others of its name. It stays the
	// same as long as the pod runs. It is empty if there is none.
	//
	// +optional
	Pod string `json:"pod,omitempty"`
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// Container is the name of the container in the pod.
	//
	// +optional
	Container string `json:"container,omitempty"`
	// Reason says in a word why the pod cannot be reached yet, and Message in a sentence.
	// Both are empty once it can. MeaningOf says what a reason means.
	//
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
}

// PodContainer is what the agent beside a container says of it.
type PodContainer struct {
	// Name of the container.
	Name string `json:"name"`
	// State is Active once no process of the container runs, Verifying before that, and
	// Error if the agent cannot stop them all. Then it stops none.
	State PodState `json:"state"`
	// Message explains State.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Since is when the agent connected to the replica that wrote this. A replica whose
	// agent connected earlier has nothing to say any more.
	Since metav1.MicroTime `json:"since"`
}
