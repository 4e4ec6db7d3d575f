package v1alpha1

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// InterceptStatus is what the traffic-manager observed.
type InterceptStatus struct {
	// ObservedGeneration is the generation the status speaks of.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// State is one word for people: Waiting, Active, Disconnected or Error.
	//
	// +optional
	State InterceptState `json:"state,omitempty"`
	// Message says why State is not Active. If it is, it says what keeps callers away,
	// which requests may be another intercept's, or which condition no request meets.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Workload is "deployment/quote", for the printer.
	//
	// +optional
	Workload string `json:"workload,omitempty"`
	// Port is the list of intercepted ports, for the printer.
	//
	// +optional
	Port string `json:"port,omitempty"`
	// Connections is the number of connections that arrived, over all pods.
	//
	// +optional
	Connections int64 `json:"connections,omitempty"`
	// Requests is the number of HTTP requests that a personal intercept took, or a mirror
	// copied, over all pods.
	//
	// +optional
	Requests int64 `json:"requests,omitempty"`

	// Matching is how requests compared with the conditions of a personal intercept.
	//
	// +optional
	Matching *Matching `json:"matching,omitempty"`

	// Mode and Match are those of the spec that Ports was resolved for. Agents follow
	// them.
	//
	// +optional
	Mode InterceptMode `json:"mode,omitempty"`
	// Match says which HTTP requests agents take or copy. It is spec.match once that has
	// been accepted, and explained there.
	//
	// +optional
	Match *Match `json:"match,omitempty"`

	// Injection is how the agent enters the pods: ephemeral or sidecar.
	//
	// +optional
	Injection InjectMode `json:"injection,omitempty"`
	// InjectionReason says why it is that one, in half a sentence.
	//
	// +optional
	InjectionReason string `json:"injectionReason,omitempty"`

	// StandIn is the pod that the spec asks for.
	//
	// +optional
	StandIn *StandInStatus `json:"standIn,omitempty"`

	// Preview says where the preview is that the spec asks for.
	//
	// +optional
	Preview *PreviewStatus `json:"preview,omitempty"`

	// Conditions are Resolved, AgentsReady, Active and PodsReady, and Overlap and Matched
	// if there is something to say about it.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Ports are the spec's ports, resolved.
	//
	// +optional
	// +listType=atomic
	Ports []ResolvedPort `json:"ports,omitempty"`
	// ProbePorts are ports of a container that mode Replace stops which are not among Ports.
	// The kubelet probes them, and agents answer it there.
	//
	// +optional
	// +listType=atomic
	ProbePorts []ResolvedPort `json:"probePorts,omitempty"`
	// Pods is the state in each pod.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	Pods []PodStatus `json:"pods,omitempty"`
}

// InterceptState is the state in one word.
type InterceptState string

// The states of an Intercept.
const (
	// StateWaiting: something is still to happen; Message says what.
	StateWaiting InterceptState = "Waiting"
	// StateActive: every ready pod sends its traffic to the laptop.
	StateActive InterceptState = "Active"
	// StateDisconnected: the laptop is away, the application answers.
	StateDisconnected InterceptState = "Disconnected"
	// StateError: it cannot become active as things are.
	StateError InterceptState = "Error"
)

// Condition types of an Intercept.
const (
	// ConditionResolved: workload, Service and ports exist and are free.
	ConditionResolved = "Resolved"
	// ConditionAgentsReady: an agent serves every ready pod.
	ConditionAgentsReady = "AgentsReady"
	// ConditionActive: traffic reaches the laptop.
	ConditionActive = "Active"
	// ConditionPodsReady: the workload's pods run and are ready. Services send
	// nothing to those that are not, intercepted or not.
	ConditionPodsReady = "PodsReady"
	// ConditionOverlap: some requests may match other personal intercepts of the port as
	// well. The message says whose, and which of the two has these requests.
	ConditionOverlap = "Overlap"
	// ConditionMatched: a request has met all conditions of the personal intercept. It is
	// False if none has, although requests have come for a while. The message says which
	// condition none met, and names the headers that there were.
	ConditionMatched = "Matched"
)

// ResolvedPort is one intercepted port after resolution.
type ResolvedPort struct {
	// Service is the Service's name; empty for a plain container port.
	//
	// +optional
	Service string `json:"service,omitempty"`
	// ServicePort is the number of the Service port; 0 for a container port.
	//
	// +optional
	ServicePort int32 `json:"servicePort,omitempty"`
	// ServicePortName is its name, if it has one.
	//
	// +optional
	ServicePortName string `json:"servicePortName,omitempty"`
	// ContainerPort is where the application listens. Named target ports may
	// differ between pods; this is the one in the pod template.
	ContainerPort int32 `json:"containerPort"`
	// ContainerPortName is the name of the target port, if it is named.
	//
	// +optional
	ContainerPortName string `json:"containerPortName,omitempty"`
	// Headless says that the Service has no address of its own: callers know
	// the pods'.
	//
	// +optional
	Headless bool `json:"headless,omitempty"`
	// Protocol is TCP or UDP.
	Protocol corev1.Protocol `json:"protocol"`
	// AppProtocol is what the Service says of the protocol on top, if it does.
	//
	// +optional
	AppProtocol string `json:"appProtocol,omitempty"`
	// LocalHost and LocalPort are the laptop's side.
	LocalHost string `json:"localHost"`
	LocalPort int32  `json:"localPort"`
}

// PodState is the state of an intercept in one pod.
type PodState string

// The states in a pod.
const (
	// PodAttaching: the agent is not connected yet.
	PodAttaching PodState = "Attaching"
	// PodVerifying: the redirect is set and not proven yet.
	PodVerifying PodState = "Verifying"
	// PodActive: a probe went through the redirect.
	PodActive PodState = "Active"
	// PodIdle: an agent is attached, nothing is redirected.
	PodIdle PodState = "Idle"
	// PodError: Message says what is wrong.
	PodError PodState = "Error"
)

// NotDeliveredReason is why a connection did not reach the laptop's program.
type NotDeliveredReason string

// The reasons.
const (
	// ProgramRefused: nothing listens on the local port.
	ProgramRefused NotDeliveredReason = "ProgramRefused"
	// ProgramSilent: the program did not take the connection in time.
	ProgramSilent NotDeliveredReason = "ProgramSilent"
	// SessionAway: the session has no connection to the traffic-manager.
	SessionAway NotDeliveredReason = "SessionAway"
	// SessionSilent: it has one and did not answer in time.
	SessionSilent NotDeliveredReason = "SessionSilent"
	// ManagerUnreachable: the agent did not reach the traffic-manager.
	ManagerUnreachable NotDeliveredReason = "ManagerUnreachable"
	// NotAllowed: the traffic-manager knew of no such intercept and session.
	NotAllowed NotDeliveredReason = "NotAllowed"
	// TooSlow: a mirror's program did not take the copies as fast as they came.
	TooSlow NotDeliveredReason = "TooSlow"
	// Cut: the connection ended before a mirror's program had the whole copy.
	Cut NotDeliveredReason = "Cut"
	// UnknownReason is one that this version does not know.
	UnknownReason NotDeliveredReason = "Unknown"
)

// NotDelivered is how many connections did not reach the laptop's program for
// one reason.
type NotDelivered struct {
	Reason      NotDeliveredReason `json:"reason"`
	Connections int64              `json:"connections"`
}

// PodStatus is the intercept's state in one pod: what the pod's agents say of its
// ports, summed up.
type PodStatus struct {
	// Name is the pod's name.
	Name string `json:"name"`
	// UID tells the pod from others of its name.
	//
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// State in this pod.
	//
	// +optional
	State PodState `json:"state,omitempty"`
	// Message explains State.
	//
	// +optional
	Message string `json:"message,omitempty"`

	Counters `json:",inline"`

	// Ports are the pod's ports that agents have for the intercept.
	//
	// +optional
	// +listType=atomic
	Ports []PodPort `json:"ports,omitempty"`

	// Container is the one that mode Replace stops in the pod.
	//
	// +optional
	Container *PodContainer `json:"container,omitempty"`
}

// PodPort is what an agent says of one port of its pod.
type PodPort struct {
	// Port is the number in this pod.
	Port int32 `json:"port"`
	// Protocol is TCP or UDP.
	Protocol corev1.Protocol `json:"protocol"`
	// State of this port.
	State PodState `json:"state"`
	// Message explains State.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Sidecar says which of the pod's agents has the port: the sidecar, or an
	// ephemeral one.
	//
	// +optional
	Sidecar bool `json:"sidecar,omitempty"`
	// AgentVersion is the version of that agent.
	//
	// +optional
	AgentVersion string `json:"agentVersion,omitempty"`
	// Since is when that agent connected to the replica that wrote this. A replica
	// whose agent connected earlier has nothing to say any more.
	Since metav1.MicroTime `json:"since"`

	Counters `json:",inline"`

	// Comparison is of a personal intercept.
	//
	// +optional
	Comparison *PortComparison `json:"comparison,omitempty"`
}

// Counters are what went through an agent.
type Counters struct {
	// Connections that the agent took since it began, UDP flows included.
	//
	// +optional
	Connections int64 `json:"connections,omitempty"`
	// Requests is how many HTTP requests the agent took. It counts those of personal
	// intercepts alone.
	//
	// +optional
	Requests int64 `json:"requests,omitempty"`
	// Opaque is how many connections passed to the application unread because programs may
	// read the requests in them differently. It counts those while a personal intercept was
	// there.
	//
	// +optional
	Opaque int64 `json:"opaque,omitempty"`
	// Fallbacks is how many of them the application answered because the
	// laptop did not. Of a mirror, it is how many copies were dropped.
	//
	// +optional
	Fallbacks int64 `json:"fallbacks,omitempty"`
	// NotDelivered says for what reasons there were fallbacks. Agents of older
	// versions do not tell.
	//
	// +optional
	// +listType=map
	// +listMapKey=reason
	NotDelivered []NotDelivered `json:"notDelivered,omitempty"`
	// BytesIn is what callers sent, BytesOut what they received.
	//
	// +optional
	BytesIn int64 `json:"bytesIn,omitempty"`
	// +optional
	BytesOut int64 `json:"bytesOut,omitempty"`
	// LastRequest is when the last connection arrived.
	//
	// +optional
	LastRequest *metav1.Time `json:"lastRequest,omitempty"`
}

// Add sums up.
func (c *Counters) Add(o Counters) {
	c.Connections += o.Connections
	c.Requests += o.Requests
	c.Opaque += o.Opaque
	c.Fallbacks += o.Fallbacks
	for _, m := range o.NotDelivered {
		c.Miss(m)
	}
	c.BytesIn += o.BytesIn
	c.BytesOut += o.BytesOut
	if o.LastRequest != nil && (c.LastRequest == nil || c.LastRequest.Before(o.LastRequest)) {
		c.LastRequest = o.LastRequest
	}
}

// Miss adds connections that were not delivered to those of the same reason. The
// list is ordered by reason; whoever has the list from before keeps it unchanged.
func (c *Counters) Miss(m NotDelivered) {
	i, found := slices.BinarySearchFunc(c.NotDelivered, m.Reason, func(x NotDelivered, r NotDeliveredReason) int {
		return cmp.Compare(x.Reason, r)
	})
	c.NotDelivered = slices.Clone(c.NotDelivered)
	if found {
		c.NotDelivered[i].Connections += m.Connections
		return
	}
	c.NotDelivered = slices.Insert(c.NotDelivered, i, m)
}
