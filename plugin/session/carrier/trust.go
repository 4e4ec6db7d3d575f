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

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/direct"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// managerName is the name of the traffic-manager's Service and ConfigMap.
const managerName = "traffic-manager"

// Trust knows by which certificates the traffic-manager proves itself: those that it has
// published in its ConfigMap. It is safe for concurrent use.
type Trust struct {
	client    client.Reader
	namespace string

	mu sync.Mutex
	published
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
	return t.known(ctx)
}

// way returns what authority does, and where the traffic-manager is reached directly; nil if
// that is nowhere.
func (t *Trust) way(ctx context.Context) (handshake.Authority, *direct.Entrance, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, err := t.known(ctx)
	return a, t.entrance, errors.Join(err, t.unclear)
}

// known reads the ConfigMap unless it has been read. The caller holds t.mu.
func (t *Trust) known(ctx context.Context) (handshake.Authority, error) {
	a := handshake.Authority{Roots: t.roots, Name: handshake.ServerName(managerName, t.namespace)}
	if a.Roots != nil {
		return a, nil
	}
	p, err := t.read(ctx)
	if err == nil {
		t.published = p
	}
	a.Roots = t.roots
	return a, err
}

// published is what the ConfigMap says.
type published struct {
	roots    *x509.CertPool   // nil before they are read
	entrance *direct.Entrance // nil if there is no direct way
	unclear  error            // what is wrong with the entrance
}

func (t *Trust) read(ctx context.Context) (p published, err error) {
	var cm corev1.ConfigMap
	if err := t.client.Get(ctx, client.ObjectKey{Namespace: t.namespace, Name: managerName}, &cm); err != nil {
		return p, fmt.Errorf("read the traffic-manager's certificates: %w", err)
	}
	p.entrance, p.unclear = direct.Parse(cm.Data[direct.Key])
	p.roots = x509.NewCertPool()
	if !p.roots.AppendCertsFromPEM([]byte(cm.Data[handshake.AuthorityKey])) {
		return p, fmt.Errorf("the ConfigMap %s/%s has no certificates at %q: the traffic-manager is starting, or older than this plugin (then run kubectl intercept upgrade)",
			t.namespace, managerName, handshake.AuthorityKey)
	}
	return p, nil
}

// Refresh reads the ConfigMap again. If that fails, what it said before is good enough: the
// direct way may be there while the API server is away.
func (t *Trust) Refresh(ctx context.Context) {
	if p, err := t.read(ctx); err == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.published = p
	}
}

// Prefetch reads the ConfigMap, so that later calls need not wait. Those get its error, too.
func (t *Trust) Prefetch(ctx context.Context) { _, _ = t.authority(ctx) }

// forget has the ConfigMap read again: the traffic-manager may have another authority, or be
// somewhere else.
func (t *Trust) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.roots = nil
}

// forged returns the error for err if that says that something else than the traffic-manager
// has answered on a transport; otherwise nil.
func (t *Trust) forged(transport string, err error) error {
	var forged *tls.CertificateVerificationError
	if !errors.As(err, &forged) {
		return nil
	}
	t.forget()
	return &BetweenError{transport, fmt.Errorf("what answers cannot prove that it is the traffic-manager in namespace %q: %w", t.namespace, forged.Err)}
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
	if forged := s.trust.forged(s.Name(), err); forged != nil {
		return nil, forged
	}
	return conn, err
}
