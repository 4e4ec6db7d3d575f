package match

// Request is what conditions read of an HTTP request. It refers to the memory of the
// parser, which may change once the decision is made.
type Request struct {
	Method []byte
	// Path is the path of the request target as the client sent it, without the query.
	Path []byte
	// Query is the query as the client sent it, without the question mark.
	Query []byte
	// Fields are the header fields in their order. Names may have any case.
	Fields []Field
}

// Field is one line of a header.
type Field struct{ Name, Value []byte }
