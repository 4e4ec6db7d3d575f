package match

// Part is what a Condition reads of a request.
type Part uint8

// The parts of a request.
const (
	// Header is a header field, and the metadata of gRPC. Its name has no case. If the
	// request has the header several times, one of its lines must match.
	Header Part = iota + 1
	// Baggage is the value of a member of the header "baggage" (W3C Baggage),
	// percent-decoded and without its properties.
	Baggage
	// Tracestate is the value of a member of the header "tracestate" (W3C Trace Context).
	Tracestate
	// Cookie is the value of a cookie (RFC 6265).
	Cookie
	// Query is the value of a parameter of the query, decoded.
	Query
	// Path is the path of the request target as the client sent it, without the query.
	// It has no name. For gRPC it is "/package.Service/Method".
	Path
	// Method is the request method. It has no name.
	Method
)

// Op is how a Condition compares.
type Op uint8

// The ways to compare.
const (
	// Regexp is an expression in the syntax of RE2 that the whole text must match.
	Regexp Op = iota + 1
	// Exact is the whole text.
	Exact
	// Prefix is the beginning of a path, by whole elements: "/api" is a prefix of
	// "/api" and "/api/v1" and not of "/apis".
	Prefix
)

// Condition is what one part of a request must be.
type Condition struct {
	Part Part
	// Name is the name of the header, member, cookie or parameter.
	Name  string
	Op    Op
	Value string
}

// Conditions are those of one intercept. All must hold. None of them is for every HTTP
// request.
type Conditions []Condition
