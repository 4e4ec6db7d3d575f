package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Session is one developer machine connected with one kube context.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.user`
// +kubebuilder:printcolumn:name="Host",type=string,JSONPath=`.spec.host`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Connected",type=string,JSONPath=`.status.conditions[?(@.type=="Connected")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Session struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   SessionSpec   `json:"spec"`
	Status SessionStatus `json:"status,omitempty"`
}

// Serves says that the Session is that user's and has not ended. It ends when it is deleted,
// although finalizers may keep the object.
func (s *Session) Serves(user string) bool { return s.DeletionTimestamp == nil && s.Spec.User == user }

// SessionList is a list of Sessions.
//
// +kubebuilder:object:root=true
type SessionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Session `json:"items"`
}

// SessionSpec says whose machine it is and how it proves itself.
//
// +kubebuilder:validation:XValidation:rule="self.user == oldSelf.user",message="spec.user is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.groups) == has(oldSelf.groups) && (!has(self.groups) || self.groups == oldSelf.groups)",message="spec.groups is immutable"
// +kubebuilder:validation:XValidation:rule="self.publicKey == oldSelf.publicKey",message="spec.publicKey is immutable: a key is good for one session"
type SessionSpec struct {
	// User is the Kubernetes user name of the owner, as for an Intercept.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	User string `json:"user"`
	// Groups are the owner's, as the API server knew them when the session
	// began. What the session may dial is decided by them, too.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	Groups []string `json:"groups,omitempty"`
	// PublicKey is the session's Ed25519 key (RFC 8032) in lower-case
	// hexadecimal. The session proves by TLS that it has the private key, which
	// never leaves the laptop.
	//
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	PublicKey string `json:"publicKey"`
	// Host is the machine's name, for people.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`
	// Version of the plugin that made the session.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
}

// SessionStatus is what the traffic-manager knows of the connection.
type SessionStatus struct {
	// Conditions holds Connected.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Relays are the replicas of the traffic-manager that hold a carrier of
	// this session; agents send its flows to any of them.
	//
	// +optional
	// +listType=map
	// +listMapKey=pod
	Relays []Relay `json:"relays,omitempty"`
	// Network is the cluster's, kept up to date while the session lives.
	//
	// +optional
	Network *SessionNetwork `json:"network,omitempty"`
}

// ConditionConnected: at least one carrier is up.
const ConditionConnected = "Connected"

// Relay is a replica that holds carriers of a session.
type Relay struct {
	// Pod is the replica's pod name.
	Pod string `json:"pod"`
	// Address is where agents reach it, "10.0.0.7:17843".
	Address string `json:"address"`
}
