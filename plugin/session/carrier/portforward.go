package carrier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// ErrNoManager says that there is no traffic-manager to connect to.
var ErrNoManager = errors.New("there is no traffic-manager")

// PortForward reaches the manager through the kubelet of a pod's node. Every carrier and
// line has its own connection, since SPDY has no flow control between streams.
type PortForward struct {
	access         Access
	client         client.Reader
	namespace      string
	path, protocol string
	relay          func() string // the pod to reach; nil or "" is any
	dial           func(cfg *rest.Config, u *url.URL) (httpstream.Connection, error)
}

// NewPortForward is for carriers, to pods of the traffic-manager in a namespace.
func NewPortForward(access Access, c client.Reader, namespace string) *PortForward {
	return &PortForward{access: access, client: c, namespace: namespace, path: handshake.UpgradePath, protocol: handshake.UpgradeProtocol, dial: dialPortForward}
}

// NewLineForward is for lines. Relay returns the name of the pod that has a carrier of the
// session.
func NewLineForward(access Access, c client.Reader, namespace string, relay func() string) *PortForward {
	return &PortForward{access: access, client: c, namespace: namespace, path: handshake.LineUpgradePath, protocol: handshake.LineUpgradeProtocol,
		relay: relay, dial: dialPortForward}
}

// Name is ViaPortForward.
func (p *PortForward) Name() string { return ViaPortForward }

// Dial implements Transport.
func (p *PortForward) Dial(ctx context.Context) (net.Conn, error) {
	return persist(ctx, p.access, func(cfg *rest.Config) (net.Conn, error) { return p.forward(ctx, cfg) })
}

func (p *PortForward) forward(ctx context.Context, cfg *rest.Config) (net.Conn, error) {
	pod, err := p.pick(ctx)
	if err != nil {
		return nil, err
	}
	u, err := resourceURL(cfg, "namespaces", p.namespace, "pods", pod, "portforward")
	if err != nil {
		return nil, err
	}
	// The dialers take no context: close a connection that comes too late.
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		spdyConn, err := p.dial(cfg, u)
		if err != nil {
			done <- result{err: forwardError(pod, err)}
			return
		}
		conn, err := p.connect(ctx, spdyConn)
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.conn != nil {
				r.conn.Close()
			}
		}()
		return nil, fmt.Errorf("port-forward to pod %s: %w", pod, ctx.Err())
	}
}

// pick returns the relay's pod, or chooses a ready one at random, so that replicas share the
// load.
func (p *PortForward) pick(ctx context.Context) (string, error) {
	if p.relay != nil {
		if pod := p.relay(); pod != "" {
			return pod, nil
		}
	}
	var pods corev1.PodList
	err := p.client.List(ctx, &pods, client.InNamespace(p.namespace), client.MatchingLabels{"app.kubernetes.io/name": managerName})
	if apierrors.IsForbidden(err) {
		return "", &NotPossibleError{ViaPortForward, err}
	}
	if err != nil {
		return "", err
	}
	if len(pods.Items) == 0 {
		return "", &NotPossibleError{ViaPortForward, ErrNoManager}
	}
	ready := slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return !isReady(&pod) })
	if len(ready) == 0 {
		return "", fmt.Errorf("no pod of the traffic-manager in namespace %q is ready", p.namespace)
	}
	return ready[rand.IntN(len(ready))].Name, nil
}

func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// dialPortForward tries WebSocket, then SPDY, as kubectl does.
func dialPortForward(cfg *rest.Config, u *url.URL) (httpstream.Connection, error) {
	rt, upgrader, err := spdy.RoundTripperFor(cfg)
	if err != nil {
		return nil, err
	}
	websocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(u, cfg)
	if err != nil {
		return nil, err
	}
	conn, _, err := websocket.Dial(portforward.PortForwardProtocolV1Name)
	if err == nil || !httpstream.IsUpgradeFailure(err) && !httpstream.IsHTTPSProxyError(err) {
		return conn, err
	}
	conn, _, spdyErr := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: rt}, http.MethodPost, u).Dial(portforward.PortForwardProtocolV1Name)
	if spdyErr == nil {
		return conn, nil
	}
	// SPDY's error has lost the reason. The WebSocket's error holds it if the server
	// gave one.
	var failure *httpstream.UpgradeFailureError
	if errors.As(err, &failure) && apierrors.IsForbidden(failure.Cause) {
		return nil, failure.Cause
	}
	return nil, spdyErr
}

// forwardError tells "not allowed" from "not now".
func forwardError(pod string, err error) error {
	if apierrors.IsForbidden(err) || strings.Contains(err.Error(), "is forbidden: ") {
		return &NotPossibleError{ViaPortForward, err}
	}
	return fmt.Errorf("port-forward to pod %s: %w", pod, err)
}
