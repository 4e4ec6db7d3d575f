package list

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// State of a workload as far as intercepting goes.
type State string

// The states.
const (
	Ready       State = "Ready"
	Intercepted State = "Intercepted"
	Impossible  State = "NotInterceptable"
	Unknown     State = "Unknown" // the user may not see intercepts
)

// Workload is a row of the list, and an item of -o json.
type Workload struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Workload v1alpha1.WorkloadReference `json:"workload"`
	State    State                      `json:"state"`
	// Message is State in words. The table shows it, unless there are personal
	// intercepts, each of which it shows.
	Message    string               `json:"message"`
	Intercepts []v1alpha1.Intercept `json:"intercepts,omitempty"`

	user string // whoever asks for the list
}

// WorkloadList is what -o json prints.
type WorkloadList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []Workload `json:"items"`
}

var (
	_ runtime.Object = (*Workload)(nil)
	_ runtime.Object = (*WorkloadList)(nil)
)

// DeepCopy copies w.
func (w *Workload) DeepCopy() *Workload {
	c := *w
	w.ObjectMeta.DeepCopyInto(&c.ObjectMeta)
	c.Intercepts = nil
	for i := range w.Intercepts {
		c.Intercepts = append(c.Intercepts, *w.Intercepts[i].DeepCopy())
	}
	return &c
}

// DeepCopyObject makes Workload a runtime.Object.
func (w *Workload) DeepCopyObject() runtime.Object { return w.DeepCopy() }

// DeepCopyObject makes WorkloadList a runtime.Object.
func (l *WorkloadList) DeepCopyObject() runtime.Object {
	c := *l
	l.ListMeta.DeepCopyInto(&c.ListMeta)
	c.Items = nil
	for i := range l.Items {
		c.Items = append(c.Items, *l.Items[i].DeepCopy())
	}
	return &c
}
