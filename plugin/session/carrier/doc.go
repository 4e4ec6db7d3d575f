// Package carrier connects the laptop with the traffic-manager, by nothing but the
// kubeconfig: it keeps carriers up and offers lines.
//
//	Pool ─ keeps N carriers, reconnects ─ Ladder ─ Direct                  manager
//	                                            └─ Dialer ─ ServiceProxy   API server → manager
//	                                                     └─ PortForward    API server → kubelet → manager
//
// On each of these is a Secure transport: TLS between the session and the traffic-manager.
// Every transport by the API server ends in the same HTTP Upgrade request to the manager, so that what
// is above does not depend on the transport.
package carrier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
)

// Names of the transports, as --transport takes them.
const (
	Auto           = "auto"
	ViaDirect      = "direct"
	ViaService     = "service-proxy"
	ViaPortForward = "port-forward"
)

// CheckName refuses what is no value of --transport.
func CheckName(transport string) error {
	if !slices.Contains([]string{Auto, ViaDirect, ViaService, ViaPortForward}, transport) {
		return fmt.Errorf("--transport %q: use auto, direct, service-proxy or port-forward", transport)
	}
	return nil
}

// Transport is one way to reach the traffic-manager. It is safe for concurrent use.
type Transport interface {
	// Name is what status shows.
	Name() string
	// Dial returns an upgraded connection: the next bytes on it are the
	// tunnel's handshake. Ctx bounds the dial and not the connection. The error is a
	// NotPossibleError if this transport can never work here.
	Dial(ctx context.Context) (net.Conn, error)
}

// NotPossibleError says that a transport is not allowed or does not exist. Any other
// error may go away by itself.
type NotPossibleError struct {
	Transport string
	Err       error
}

// Error names the transport.
func (e *NotPossibleError) Error() string { return e.Transport + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *NotPossibleError) Unwrap() error { return e.Err }

// BetweenError says that something between this machine and the traffic-manager, such
// as a gateway, has answered in its place. Another transport may get past it.
type BetweenError struct {
	Transport string
	Err       error
}

// Error names the transport.
func (e *BetweenError) Error() string { return e.Transport + ": " + e.Err.Error() }

// Unwrap returns the answer.
func (e *BetweenError) Unwrap() error { return e.Err }

// Elsewhere says whether another transport may work where one has failed with err.
func Elsewhere(err error) bool {
	var e *BetweenError
	return IsNotPossible(err) || errors.As(err, &e)
}

// IsNotPossible says whether err is, or holds, a NotPossibleError.
func IsNotPossible(err error) bool {
	var e *NotPossibleError
	return errors.As(err, &e)
}
