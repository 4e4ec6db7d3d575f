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
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Connected")].lastTransitionTime`,description="When it connected, or was seen last."
// +kubebuilder:printcolumn:name="Confirmed",type=date,JSONPath=`.status.owner.confirmed`,priority=1,description="When the API server last said again who the user is."
// +kubebuilder:printcolumn:name="Groups",type=string,JSONPath=`.spec.groups`,priority=1
// +kubebuilder:printcolumn:name="Replicas",type=string,JSONPath=`.status.relays[*].pod`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Session struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   SessionSpec   `json:"spec"`
	Status SessionStatus `json:"status,omitempty"`
}

// Serves says that the Session is that user's and has not ended. It ends when it is deleted,
// although finalizers may keep the object.
func (s *Session) Serves(user string) bool {
	return s.DeletionTimestamp == nil && s.Spec.User == user && s.Spec.Renews == ""
}

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
	// Extra is what else the API server knew of the owner, such as the scopes of a token.
	// It has all keys but CredentialID, whose value is another for each token.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Extra map[string]ExtraValues `json:"extra,omitempty"`
	// Renews makes this no session of its own: it is the name of one with the same user and
	// key, for which the API server confirms the user's groups anew by admitting this
	// object. The traffic-manager notes them in the status of that session, and deletes this.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Renews string `json:"renews,omitempty"`
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

// ExtraValues are the values of one key of SessionSpec.Extra.
//
// +kubebuilder:validation:MaxItems=256
// +kubebuilder:validation:items:MaxLength=4096
type ExtraValues []string

// CredentialID is the key of a user's extra information that names the token or certificate.
const CredentialID = "authentication.kubernetes.io/credential-id"

// SessionStatus is what the traffic-manager knows of the connection.
type SessionStatus struct {
	// Conditions holds Connected and Confirmed.
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
	// Owner is what the API server has confirmed of the owner since the session was made. It
	// takes the place of groups and extra of the spec.
	//
	// +optional
	Owner *SessionOwner `json:"owner,omitempty"`
	// Network is the cluster's, kept up to date while the session lives.
	//
	// +optional
	Network *SessionNetwork `json:"network,omitempty"`
}

// SessionOwner is what the API server knew of a Session's user at a time.
type SessionOwner struct {
	// Confirmed is when it was.
	Confirmed metav1.Time `json:"confirmed"`
	// Groups and Extra are those of a SessionSpec.
	//
	// +optional
	// +listType=atomic
	Groups []string `json:"groups,omitempty"`
	// +optional
	Extra map[string]ExtraValues `json:"extra,omitempty"`
}

// ConditionConnected: at least one carrier is up.
const ConditionConnected = "Connected"

// ConditionConfirmed: the API server has confirmed that the Session is its user's, and what
// groups the user has. The traffic-manager admits no carrier of a Session otherwise. Its
// reasons are those below.
const ConditionConfirmed = "Confirmed"

// Reasons of ConditionConfirmed. The laptop renews a Session with one of the second to the
// fourth.
const (
	ReasonConfirmed = "Confirmed"
	// ReasonDue: still confirmed, and time to be confirmed again.
	ReasonDue = "Due"
	// ReasonExpired: confirmed too long ago.
	ReasonExpired = "Expired"
	// ReasonOlderThanPolicy: anybody could have made it in the user's name.
	ReasonOlderThanPolicy = "OlderThanPolicy"
	// ReasonPolicyMissing: nobody's name can be trusted.
	ReasonPolicyMissing = "PolicyMissing"
	// ReasonUnknown: the traffic-manager got no answer.
	ReasonUnknown = "Unknown"
)

// RenewalName is the name of the object that renews the Session with a name. There is one at
// a time.
func RenewalName(session string) string { return session + "-renewal" }

// Relay is a replica that holds carriers of a session.
type Relay struct {
	// Pod is the replica's pod name.
	Pod string `json:"pod"`
	// Address is where agents reach it, "10.0.0.7:17843".
	Address string `json:"address"`
}
