package http

import (
	"context"
	"errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// Switch decides where each request of one connection goes. Its methods may be called
// concurrently.
type Switch interface {
	// Decide counts a request and says what becomes of it. It keeps nothing of it.
	Decide(*match.Request) Decision
	// DecideAgain is Decide for a request that was counted before, and has not got to where
	// it was to go.
	DecideAgain(*match.Request) Decision
	// Application is where everything goes that is not told apart.
	Application() Target
	// Opaque is told that the connection goes to the application from here on, unread,
	// and why.
	Opaque(reason string)
}

// Decision is what becomes of one request.
type Decision struct {
	// To has the request and answers it.
	To Target
	// Answer is sent in place of To's; nil, if To answers.
	Answer *Answer
	// Copies get the same request, and their answers are thrown away. They never slow
	// the request.
	Copies []Copier
}

// Answer is a response of the agent's own.
type Answer struct {
	// Status is the HTTP status, and GRPC the status of gRPC, which callers that speak
	// gRPC get instead.
	Status, GRPC int
	// Body is plain text, and the message of gRPC.
	Body string
	// Fields are further header fields.
	Fields []Field
}

// Unavailable is the status of gRPC for a server that cannot be reached.
const Unavailable = 14

// Field is a header field of an Answer.
type Field struct{ Name, Value string }

// Target is a far end of requests: the application, or the laptop of one intercept. Two
// Targets of one owner are equal by ==, also after its intercept was changed.
type Target interface {
	// Open opens a connection. First has been sent on it, with the opening if that saves
	// a round trip. If there is an error, the far end has got nothing.
	Open(ctx context.Context, first []byte) (tunnel.Stream, error)
	// Arrived counts a request.
	Arrived()
	// Missed counts a request that Open did not bring to the target. It returns what
	// becomes of the request instead: another target, or an Answer.
	Missed(error) Decision
	// Moved counts bytes of requests and of their answers.
	Moved(in, out int)
	// Gone is closed once the target is to have no more requests. Those that it has not
	// answered completely are reset. It is nil for the application, which never goes.
	Gone() <-chan struct{}
	// Mark is the name and value of a header field that every answer of the target gets;
	// empty for none.
	Mark() Field
}

// Copier is a Target of copies. What waits for it is bounded, on all connections together.
type Copier interface {
	Target
	// Waits counts bytes that wait, or with a negative number that do so no more.
	Waits(n int)
	// Full says that nothing more may wait.
	Full() bool
}

// Errors that Missed is told of copies that were dropped.
var (
	// ErrSlow: copies came faster than they were taken.
	ErrSlow = errors.New("copies come faster than they are taken")
	// ErrCut: a copy ended before all of it was sent.
	ErrCut = errors.New("the copy was cut short")
)
