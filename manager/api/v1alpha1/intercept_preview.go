package v1alpha1

// Preview is the way by which visitors of a preview URL enter the cluster. It answers
// the four questions that `kubectl intercept add --preview-url` asks.
type Preview struct {
	// Host is the Service of the ingress: "NAME.NAMESPACE", or "NAME" in the namespace of
	// the Intercept. "NAME.NAMESPACE.svc.DOMAIN" is the same. The owner of the Intercept
	// must be allowed to "create pods/portforward" in the namespace of the Service,
	// unless the operator has opened the Service to everybody's previews.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Host string `json:"host"`
	// Port is one of the Service's TCP ports.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// TLS says that the ingress expects TLS at that port. Its certificate is not verified.
	//
	// +optional
	TLS bool `json:"tls,omitempty"`
	// L5Host is the host name by which the ingress routes, "shop.example.com". It may
	// have a port.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=259
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?$`
	L5Host string `json:"l5Host"`
	// PasswordHash is the bcrypt hash of the password that visitors have to know. Empty
	// means that the URL is enough.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=60
	// +kubebuilder:validation:Pattern=`^\$2[aby]\$(0[4-9]|1[0-2])\$[./A-Za-z0-9]{53}$`
	PasswordHash string `json:"passwordHash,omitempty"`
}

// PreviewStatus is what the traffic-manager says of a preview.
type PreviewStatus struct {
	// ObservedGeneration is the generation of the Intercept that this is about.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// URL is where the preview is. The traffic-manager makes it at random, so that nobody
	// can guess it or claim another's. It is empty while there has been no preview.
	//
	// +optional
	URL string `json:"url,omitempty"`
	// Message says why there is no preview, or why it leads nowhere, in one sentence.
	//
	// +optional
	Message string `json:"message,omitempty"`
}
