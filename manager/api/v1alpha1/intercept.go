package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Intercept routes the traffic of one workload's ports to a Session.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=icept,categories=all
// +kubebuilder:printcolumn:name="Workload",type=string,JSONPath=`.status.workload`
// +kubebuilder:printcolumn:name="Port",type=string,JSONPath=`.status.port`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.user`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Connections",type=integer,priority=1,JSONPath=`.status.connections`
// +kubebuilder:printcolumn:name="Requests",type=integer,priority=1,JSONPath=`.status.requests`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.message`
type Intercept struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   InterceptSpec   `json:"spec"`
	Status InterceptStatus `json:"status,omitempty"`
}

// InterceptList is a list of Intercepts.
//
// +kubebuilder:object:root=true
type InterceptList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Intercept `json:"items"`
}

// InterceptSpec is what the user asks for.
//
// +kubebuilder:validation:XValidation:rule="self.user == oldSelf.user",message="spec.user is immutable"
// +kubebuilder:validation:XValidation:rule="self.workload == oldSelf.workload",message="spec.workload is immutable: leave, then add again"
// +kubebuilder:validation:XValidation:rule="self.ports.all(p, self.ports.exists_one(q, q.localPort == p.localPort && q.protocol == p.protocol && q.localHost == p.localHost))",message="two ports go to the same local port"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Personal' || has(self.match)",message="mode Personal needs spec.match, which says whose requests the intercept takes; {} takes every HTTP request"
// +kubebuilder:validation:XValidation:rule="self.mode in ['Personal', 'Mirror'] || !has(self.match)",message="spec.match needs mode Personal or Mirror, since modes Global and Replace take every connection: set spec.mode to Personal, or remove spec.match"
// +kubebuilder:validation:XValidation:rule="!has(self.match) || self.ports.all(p, p.protocol == 'TCP')",message="spec.match is about HTTP requests, which a UDP port does not have: remove the UDP port, or intercept it with mode Global"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Mirror' || has(self.match) || self.ports.all(p, p.protocol == 'TCP')",message="mode Mirror copies what comes by TCP: remove the UDP port, or intercept it with mode Global"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Mirror' || !has(self.noFallback) || !self.noFallback",message="spec.noFallback is not for mode Mirror, since the application answers everything: remove spec.noFallback"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Mirror' || !has(self.preview)",message="spec.preview is not for mode Mirror, since the application answers everything: set spec.mode to Personal, or remove spec.preview"
// +kubebuilder:validation:XValidation:rule="self.mode in ['Ingest', 'Replace'] || size(self.ports) > 0",message="spec.ports is empty: name a port, or set spec.mode to Ingest or Replace"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Ingest' || size(self.ports) == 0",message="spec.mode Ingest leaves all traffic to the application: set spec.ports to [], or another mode"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Ingest' || has(self.standIn)",message="spec.mode Ingest needs spec.standIn; {} is enough"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Ingest' || !has(self.preview)",message="spec.preview is not for mode Ingest, since the application answers everything: remove spec.preview"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Replace' || has(self.standIn)",message="spec.mode Replace needs spec.standIn, which says whose container stops; {} is enough"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Replace' || !has(self.keepEstablished) || !self.keepEstablished",message="spec.keepEstablished is not for mode Replace, since a stopped application answers nothing: remove spec.keepEstablished"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Replace' || !has(self.preview)",message="spec.preview is not for mode Replace, since everybody comes to the laptop: remove spec.preview"
type InterceptSpec struct {
	// User is the Kubernetes user name of the owner. The admission policy of
	// the chart admits only the name of the user who makes the request.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	User string `json:"user"`

	// Session is the name of the Session, in the namespace of the
	// traffic-manager, that receives the traffic. It must belong to User.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Session string `json:"session"`

	// Workload is the object whose pods are intercepted.
	Workload WorkloadReference `json:"workload"`

	// Service picks one of several Services that select the workload. Empty
	// means the only one, or none when the ports are container ports.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service,omitempty"`

	// Ports are the intercepted ports. Mode Ingest has none, and mode Replace need not have
	// any: write [].
	//
	// +kubebuilder:validation:MaxItems=32
	Ports []InterceptPort `json:"ports"`

	// Mode says what happens to the traffic. Global takes all of it. Personal takes the
	// HTTP requests that match says, and leaves all else to the application; several
	// users can have personal intercepts of one port. Mirror takes nothing: the laptop gets
	// a copy, what it answers is thrown away, and no caller notices. With a match it gets a
	// copy of each HTTP request that matches; without one, a copy of all bytes that callers
	// send on each TCP connection. What the laptop does not take in time is dropped and
	// counted. A port can have any number of mirrors, beside intercepts of the other modes.
	// Ingest leaves all traffic to the application, and is for standIn alone. Replace takes
	// all of it, as Global does, and stops the processes of the container that standIn names,
	// in every pod, as long as the laptop is connected. One intercept at a time can stop a
	// container. Agents answer the kubelet's HTTP, TCP and gRPC probes meanwhile.
	//
	// +kubebuilder:default=Global
	Mode InterceptMode `json:"mode,omitempty"`

	// Match says which HTTP requests a personal intercept takes, or a mirror copies: those
	// for which all conditions hold. The application has the others, and all that is not
	// HTTP. An empty object, {}, is for every HTTP request. Mode Personal needs a match,
	// mode Mirror can have one, and mode Global has none.
	//
	// Entries of one list must all hold, too. For one value or another, write one regexp
	// with a "|". A regexp is in the syntax of RE2
	// (https://github.com/google/re2/wiki/Syntax) and must match the whole text, as if it
	// began with ^ and ended with $: "louise" does not match "louise2", and "louise.*"
	// does. It distinguishes case, unless it begins with (?i).
	//
	// An example: {headers: [{name: x-user, regexp: louise}], paths: [{prefix: /api}]} takes
	// the requests for /api, and for what is below it, that have the header
	// "x-user: louise".
	//
	// Several personal intercepts of one port can be beside each other. One that would take
	// nothing but what another one takes, or all of that, is refused; status.message names
	// the other one. Where a request meets the conditions of two, the older intercept has
	// it, and the condition Overlap in the status of both says so.
	//
	// +optional
	Match *Match `json:"match,omitempty"`

	// StandIn asks for one of the pods, whose environment the laptop can have. Status.standIn
	// has the pod. In mode Replace it also says which container stops.
	//
	// +optional
	StandIn *StandIn `json:"standIn,omitempty"`

	// Preview asks for a URL whose visitors come to the laptop. It needs a traffic-manager
	// whose chart has preview.enabled. Status.preview has the URL.
	//
	// +optional
	Preview *Preview `json:"preview,omitempty"`

	// Inject says how the agent enters the pods.
	//
	// +kubebuilder:default=auto
	Inject InjectMode `json:"inject,omitempty"`

	// KeepEstablished leaves connections alone that were open before the
	// intercept became active; they bypass it until they close. A mirror always does
	// so.
	//
	// +optional
	KeepEstablished bool `json:"keepEstablished,omitempty"`

	// NoFallback closes connections that the local port refuses. Without it
	// the application answers them.
	//
	// +optional
	NoFallback bool `json:"noFallback,omitempty"`
}

// WorkloadReference names an object in the Intercept's namespace.
type WorkloadReference struct {
	// APIVersion is the group and version, "apps/v1".
	//
	// +kubebuilder:validation:MaxLength=128
	APIVersion string `json:"apiVersion"`
	// Kind is Deployment, StatefulSet, DaemonSet, ReplicaSet, Rollout, Job, Pod or
	// Service.
	//
	// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet;ReplicaSet;Rollout;Job;Pod;Service
	Kind string `json:"kind"`
	// Name is the object's name.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// InterceptPort maps one port of the workload to one on the laptop.
//
// +kubebuilder:validation:XValidation:rule="self.protocol != 'UDP' || !has(self.localTLS) || !self.localTLS",message="localTLS is about connections, which a UDP port does not have: remove it"
type InterceptPort struct {
	// Port identifies the intercepted port: name or number of a Service port,
	// or name or number of a container port. Empty is allowed when there is
	// only one.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Port string `json:"port,omitempty"`
	// Protocol is TCP or UDP.
	//
	// +kubebuilder:default=TCP
	// +kubebuilder:validation:Enum=TCP;UDP
	Protocol corev1.Protocol `json:"protocol,omitempty"`
	// LocalPort is the port on the laptop.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	LocalPort int32 `json:"localPort"`
	// LocalHost is the IP address that the laptop dials. The session dials one that is not
	// loopback only if its user has typed it on that laptop.
	//
	// +kubebuilder:default="127.0.0.1"
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:Pattern=`^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9a-fA-F.]*:[0-9a-fA-F:.]+)$`
	LocalHost string `json:"localHost,omitempty"`
	// LocalTLS says that the program on the laptop speaks TLS on this port. Then what the
	// agent took out of TLS reaches the program in TLS again. Without it, the program gets
	// clear text. A connection that nobody took out of TLS reaches it as it is.
	//
	// +optional
	LocalTLS bool `json:"localTLS,omitempty"`
	// LocalProtocol is the version of HTTP that the program on the laptop speaks on this
	// port, for callers that speak HTTP/2. With http1, their requests reach the program in
	// HTTP/1.1, except for gRPC, which is answered with an error. With http2, they reach
	// it as they are. With auto, the default, the laptop tests which of both it is, if
	// the Intercept has a match. Callers that speak HTTP/1.1 are never translated.
	//
	// +optional
	LocalProtocol LocalProtocol `json:"localProtocol,omitempty"`
}

// LocalProtocol is a version of HTTP.
//
// +kubebuilder:validation:Enum=auto;http1;http2
type LocalProtocol string

// The versions of HTTP that a program on a laptop speaks.
const (
	LocalProtocolAuto LocalProtocol = "auto"
	LocalHTTP1        LocalProtocol = "http1"
	LocalHTTP2        LocalProtocol = "http2"
)

// InterceptMode says what happens to captured traffic.
//
// +kubebuilder:validation:Enum=Global;Personal;Mirror;Ingest;Replace
type InterceptMode string

// The modes.
const (
	// ModeGlobal sends every connection to the laptop.
	ModeGlobal InterceptMode = "Global"
	// ModePersonal sends the HTTP requests to the laptop that Match says.
	ModePersonal InterceptMode = "Personal"
	// ModeMirror sends a copy to the laptop: of the HTTP requests that Match says, or of
	// what callers send on every connection. The application answers.
	ModeMirror InterceptMode = "Mirror"
	// ModeIngest sends nothing to the laptop, which only stands in for a pod.
	ModeIngest InterceptMode = "Ingest"
	// ModeReplace sends every connection to the laptop, and stops a container of every pod.
	ModeReplace InterceptMode = "Replace"
)

// InjectMode says how the agent enters a pod.
//
// +kubebuilder:validation:Enum=auto;ephemeral;sidecar
type InjectMode string

// The ways an agent enters a pod.
const (
	InjectAuto      InjectMode = "auto"
	InjectEphemeral InjectMode = "ephemeral"
	InjectSidecar   InjectMode = "sidecar"
)
