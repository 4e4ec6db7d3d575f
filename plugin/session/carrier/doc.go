// Package carrier brings the laptop's byte streams to the traffic-manager and
// keeps them up, with nothing but the kubeconfig.
//
//	Pool ─ keeps N carriers, reconnects ─ Ladder ─ ServiceProxy   API server → manager
//	                                            └─ PortForward    API server → kubelet → manager
//
// Every transport ends in the same HTTP Upgrade request to the manager, so
// that what is on top of it, package tunnel, does not know the way.
package carrier

import (
	"context"
	"errors"
	"net"
)

// Names of the transports, as --transport takes them.
const (
	Auto           = "auto"
	ViaService     = "service-proxy"
	ViaPortForward = "port-forward"
)

// Transport is one way to the traffic-manager. It is safe for concurrent use.
type Transport interface {
	// Name is what status shows.
	Name() string
	// Dial returns an upgraded connection: the next bytes on it are the
	// tunnel's handshake. Ctx bounds the dial and not the connection. An error
	// that says this way will not do, now or ever, is a NotPossibleError.
	Dial(ctx context.Context) (net.Conn, error)
}

// NotPossibleError says that a transport is not allowed or does not exist, as
// opposed to being out of order.
type NotPossibleError struct {
	Transport string
	Err       error
}

// Error names the transport.
func (e *NotPossibleError) Error() string { return e.Transport + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *NotPossibleError) Unwrap() error { return e.Err }

// BetweenError says that something between this machine and the traffic-manager
// answered in its place, such as a gateway. Another way may lead past it.
type BetweenError struct {
	Transport string
	Err       error
}

// Error names the transport.
func (e *BetweenError) Error() string { return e.Transport + ": " + e.Err.Error() }

// Unwrap returns the answer.
func (e *BetweenError) Unwrap() error { return e.Err }

// Elsewhere says that another transport may do where err is the end of one.
func Elsewhere(err error) bool {
	var e *BetweenError
	return IsNotPossible(err) || errors.As(err, &e)
}

// IsNotPossible says whether err is, or holds, a NotPossibleError.
func IsNotPossible(err error) bool {
	var e *NotPossibleError
	return errors.As(err, &e)
}
