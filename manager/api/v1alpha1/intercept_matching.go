package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// Comparison is how HTTP requests compared with the conditions of a personal intercept,
// since agents follow these. The kubelet's probes are not counted. The numbers may be a
// fifth too small while the intercept takes nothing, so that others' requests cause few
// writes.
type Comparison struct {
	// Requests is how many came to the intercepted ports.
	Requests int64 `json:"requests"`
	// Taken is how many of them the intercept took.
	//
	// +optional
	Taken int64 `json:"taken,omitempty"`
	// Compared is how many were compared with every condition: of many at once an agent
	// takes a sample.
	//
	// +optional
	Compared int64 `json:"compared,omitempty"`
	// MetAll is how many of the compared ones met every condition. Another intercept may
	// have had some of these.
	//
	// +optional
	MetAll int64 `json:"metAll,omitempty"`
	// PassedSince is when the first request came that the intercept did not take.
	//
	// +optional
	PassedSince *metav1.Time `json:"passedSince,omitempty"`
}

// PortComparison is the Comparison of one port of a pod.
type PortComparison struct {
	Comparison `json:",inline"`

	// Met is how many of the compared requests met each condition, in the order of
	// status.matching.conditions.
	//
	// +optional
	// +listType=atomic
	Met []int64 `json:"met,omitempty"`
}

// Matching is the Comparison over all pods.
type Matching struct {
	Comparison `json:",inline"`

	// Conditions are those of the intercept.
	//
	// +optional
	// +listType=atomic
	Conditions []ConditionCount `json:"conditions,omitempty"`
	// Headers are names of headers that the compared requests had, 40 at most. They are
	// kept until the intercept takes a request. Values are never kept.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=40
	Headers []string `json:"headers,omitempty"`
}

// ConditionCount is how many of the compared requests met one condition.
type ConditionCount struct {
	// Condition in words.
	Condition string `json:"condition"`
	Met       int64  `json:"met"`
}

// MaxHeaders is how many names a Matching has at most.
const MaxHeaders = 40

// NewMatching returns the Matching of conditions that nothing was compared with yet.
func NewMatching(conditions match.Conditions) *Matching {
	m := &Matching{}
	for _, c := range conditions {
		m.Conditions = append(m.Conditions, ConditionCount{Condition: c.String()})
	}
	return m
}

// Add adds what one port says. It ignores what is about other conditions, as far as their
// number tells.
func (m *Matching) Add(p *PortComparison) {
	if p == nil || len(p.Met) != len(m.Conditions) {
		return
	}
	for i, met := range p.Met {
		m.Conditions[i].Met += met
	}
	m.Requests += p.Requests
	m.Taken += p.Taken
	m.Compared += p.Compared
	m.MetAll += p.MetAll
	if p.PassedSince != nil && (m.PassedSince == nil || p.PassedSince.Before(m.PassedSince)) {
		m.PassedSince = p.PassedSince
	}
}
