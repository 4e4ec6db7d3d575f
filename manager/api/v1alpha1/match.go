package v1alpha1

// Match is the conditions of a personal intercept or a mirror. The field InterceptSpec.Match
// explains it, where kubectl explain reads.
type Match struct {
	// Headers are conditions on header fields of the request, and on gRPC metadata.
	// Names have no case: "X-User" and "x-user" are the same header. If a request has
	// the header several times, one of its lines must match.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.name.matches('^[!#$%&\\'*+.^_\\x60|~0-9A-Za-z-]+$'))",message="a name is not one that a header can have: letters, digits and any of !#$%&'*+-.^_`|~ are allowed"
	Headers []MatchValue `json:"headers,omitempty"`
	// Baggage are conditions on members of the header "baggage" (W3C Baggage), which
	// OpenTelemetry passes on from service to service. So an intercept in the fifth
	// service of a chain needs no change of the first four. Names are keys, and have
	// case; values are compared percent-decoded, without their properties.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.name.matches('^[!#$%&\\'*+.^_\\x60|~0-9A-Za-z-]+$'))",message="a name is not a key that baggage can have: letters, digits and any of !#$%&'*+-.^_`|~ are allowed"
	Baggage []MatchValue `json:"baggage,omitempty"`
	// Tracestate are conditions on members of the header "tracestate" (W3C Trace
	// Context), which OpenTelemetry passes on like baggage. Names are keys.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.name.matches('^[a-z0-9][a-z0-9_*/@-]*$'))",message="a name is not a key that tracestate can have: small letters, digits and any of _-*/@ are allowed, with a letter or digit first"
	Tracestate []MatchValue `json:"tracestate,omitempty"`
	// Cookies are conditions on cookies, for requests of browsers. Names have case.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.name.matches('^[!#$%&\\'*+.^_\\x60|~0-9A-Za-z-]+$'))",message="a name is not one that a cookie can have: letters, digits and any of !#$%&'*+-.^_`|~ are allowed"
	Cookies []MatchValue `json:"cookies,omitempty"`
	// QueryParams are conditions on parameters of the query, which is what follows the
	// question mark of a URL. Names and values are compared decoded, and have case.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	QueryParams []MatchValue `json:"queryParams,omitempty"`
	// Paths are conditions on the path of the request as the client sent it, without
	// the query. All must hold; for one path or another, write one regexp with a "|". For
	// gRPC the path is "/package.Service/Method".
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Paths []MatchPath `json:"paths,omitempty"`
	// Method is the method of the request, "GET". It is no expression, and has case. gRPC
	// uses "POST".
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z_-]+$`
	Method string `json:"method,omitempty"`
}

// MatchValue is a condition on the value that has a name.
type MatchValue struct {
	// Name of the header, baggage member, tracestate member, cookie or query parameter.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`
	// Regexp is what the whole value must match, in the syntax of RE2. The expression
	// ".*" is for every value, also an empty one, but not for a request without it.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="''.matches(self) || !''.matches(self)",message="not a regular expression in the syntax of RE2"
	Regexp string `json:"regexp"`
}

// MatchPath is a condition on the path. It has exactly one of the fields.
//
// +kubebuilder:validation:ExactlyOneOf=exact;prefix;regexp
type MatchPath struct {
	// Exact is the whole path.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[^?#\s]*$`
	Exact string `json:"exact,omitempty"`
	// Prefix is the beginning of the path, by whole elements: "/api" is a prefix of
	// "/api" and "/api/v1", and not of "/apis".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[^?#\s]*$`
	Prefix string `json:"prefix,omitempty"`
	// Regexp is what the whole path must match, in the syntax of RE2.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="''.matches(self) || !''.matches(self)",message="not a regular expression in the syntax of RE2"
	Regexp string `json:"regexp,omitempty"`
}
