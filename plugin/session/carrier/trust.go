package carrier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// managerName is the name of the traffic-manager's Service and ConfigMap.
const managerName = "traffic-manager"

// Trust knows by which certificates the traffic-manager proves itself: those that it has
// published in its ConfigMap. It is safe for concurrent use.
type Trust struct {
	client    client.Reader
	namespace string

	mu    sync.Mutex
	roots *x509.CertPool // nil before they are read
}

// NewTrust reads the ConfigMap in a namespace by c, when it is needed.
func NewTrust(c client.Reader, namespace string) *Trust {
	return &Trust{client: c, namespace: namespace}
}

// authority returns what the certificate of a relay is checked against. While one caller
// reads the ConfigMap, others wait.
func (t *Trust) authority(ctx context.Context) (handshake.Authority, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := handshake.Authority{Roots: t.roots, Name: handshake.ServerName(managerName, t.namespace)}
	if a.Roots != nil {
		return a, nil
	}
	var cm corev1.ConfigMap
	if err := t.client.Get(ctx, client.ObjectKey{Namespace: t.namespace, Name: managerName}, &cm); err != nil {
		return a, fmt.Errorf("read the traffic-manager's certificates: %w", err)
	}
	a.Roots = x509.NewCertPool()
	if !a.Roots.AppendCertsFromPEM([]byte(cm.Data[handshake.AuthorityKey])) {
		return a, fmt.Errorf("the ConfigMap %s/%s has no certificates at %q: the traffic-manager is starting, or older than this plugin (then run kubectl intercept upgrade)",
			t.namespace, managerName, handshake.AuthorityKey)
	}
	t.roots = a.Roots
	return a, nil
}

// Prefetch reads the ConfigMap, so that later calls need not wait. Those get its error, too.
func (t *Trust) Prefetch(ctx context.Context) { _, _ = t.authority(ctx) }

// forget has the ConfigMap read again: the traffic-manager may have another authority.
func (t *Trust) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.roots = nil
}

// Secure returns a Transport whose connections are encrypted between this session and the
// traffic-manager. Both have proved who they are: own is this session's key pair.
func Secure(below Transport, own *handshake.Identity, t *Trust) Transport {
	return &secure{below, own, t}
}

type secure struct {
	Transport
	own   *handshake.Identity
	trust *Trust
}

// Dial implements Transport.
func (s *secure) Dial(ctx context.Context) (net.Conn, error) {
	below, err := s.Transport.Dial(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := s.shake(ctx, below)
	if err != nil {
		below.Close()
		return nil, err
	}
	return conn, nil
}

func (s *secure) shake(ctx context.Context, below net.Conn) (net.Conn, error) {
	a, err := s.trust.authority(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := handshake.DialCarrier(ctx, below, s.own, a)
	var forged *tls.CertificateVerificationError
	if errors.As(err, &forged) {
		s.trust.forget()
		return nil, &BetweenError{s.Name(), fmt.Errorf("what answers cannot prove that it is the traffic-manager in namespace %q: %w", s.trust.namespace, forged.Err)}
	}
	return conn, err
}
