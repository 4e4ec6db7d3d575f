package v1alpha1

// SessionNetwork is what a machine needs to know of the cluster's network, and
// what the operator wants of its part in it.
type SessionNetwork struct {
	// ClusterDomain is the cluster's DNS domain, "cluster.local".
	//
	// +optional
	ClusterDomain string `json:"clusterDomain,omitempty"`
	// DNSAddresses are the name servers that pods use.
	//
	// +optional
	// +listType=atomic
	DNSAddresses []string `json:"dnsAddresses,omitempty"`
	// ServiceCIDRs hold the addresses of Services: those of the ServiceCIDR
	// API, and of Services that were seen outside of them.
	//
	// +optional
	// +listType=atomic
	ServiceCIDRs []string `json:"serviceCIDRs,omitempty"`
	// PodCIDRs hold the addresses of pods: those of the nodes, and of pods that
	// were seen outside of them.
	//
	// +optional
	// +listType=atomic
	PodCIDRs []string `json:"podCIDRs,omitempty"`
	// Routing is the operator's: the chart's client.routing.
	//
	// +optional
	Routing SessionRouting `json:"routing,omitzero"`
	// DNS is the operator's: the chart's client.dns.
	//
	// +optional
	DNS SessionDNS `json:"dns,omitzero"`
}

// SessionRouting says which addresses a machine reaches through the cluster.
type SessionRouting struct {
	// AlsoProxySubnets it reaches through the cluster, too.
	//
	// +optional
	// +listType=atomic
	AlsoProxySubnets []string `json:"alsoProxySubnets,omitempty"`
	// NeverProxySubnets it never does.
	//
	// +optional
	// +listType=atomic
	NeverProxySubnets []string `json:"neverProxySubnets,omitempty"`
	// AllowConflictingSubnets the cluster may have even if the machine has a
	// route to them.
	//
	// +optional
	// +listType=atomic
	AllowConflictingSubnets []string `json:"allowConflictingSubnets,omitempty"`
	// VirtualSubnet is where what conflicts appears instead.
	//
	// +optional
	VirtualSubnet string `json:"virtualSubnet,omitempty"`
}

// SessionDNS says which names a machine asks of the cluster.
type SessionDNS struct {
	// IncludeSuffixes are of names that the cluster is asked, too.
	//
	// +optional
	// +listType=atomic
	IncludeSuffixes []string `json:"includeSuffixes,omitempty"`
	// ExcludeSuffixes are of names that it never is.
	//
	// +optional
	// +listType=atomic
	ExcludeSuffixes []string `json:"excludeSuffixes,omitempty"`
	// Mappings are other names for names of the cluster.
	//
	// +optional
	// +listType=atomic
	Mappings []DNSMapping `json:"mappings,omitempty"`
}

// DNSMapping makes Name stand for AliasFor.
type DNSMapping struct {
	Name     string `json:"name"`
	AliasFor string `json:"aliasFor"`
}
