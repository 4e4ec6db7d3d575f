package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
)

// slow is the round-trip time above which users notice a delay.
const slow = 250 * time.Millisecond

// Reached is the answer of a traffic-manager replica.
type Reached struct {
	// Transport is the transport that worked. Closed is the error of the faster
	// transport, and nil if that one worked.
	Transport string
	Closed    error
	// Pod and Version are those of the replica.
	Pod, Version string
	RTT          time.Duration
	// Refusal is the reason why the replica accepts no session at all, and "" if it
	// does.
	Refusal string
}

// NewReach returns the function Env.Reach for a cluster. It opens a carrier as a session
// does, but with a key that belongs to no session. The traffic-manager must answer that
// the key is not valid.
func NewReach(cfg *rest.Config, c client.Reader, namespace string) (func(context.Context) (*Reached, error), error) {
	proxy, err := carrier.NewServiceProxy(carrier.Fixed(cfg), namespace)
	if err != nil {
		return nil, err
	}
	forward := carrier.NewPortForward(carrier.Fixed(cfg), c, namespace)
	own := handshake.RandomIdentity()
	return func(ctx context.Context) (*Reached, error) {
		trust := carrier.NewTrust(c, namespace)
		r, err := knock(ctx, carrier.Secure(proxy, own, trust))
		if err == nil || !carrier.Elsewhere(err) {
			return r, err
		}
		r, ferr := knock(ctx, carrier.Secure(forward, own, trust))
		if ferr != nil {
			return nil, errors.Join(err, ferr)
		}
		r.Closed = err
		return r, nil
	}, nil
}

// NewDirect returns the function Env.Direct for a cluster.
func NewDirect(cfg *rest.Config, c client.Reader, namespace string) func(context.Context) (*Reached, error) {
	return func(ctx context.Context) (*Reached, error) {
		way := carrier.NewDirect(carrier.Fixed(cfg), handshake.RandomIdentity(), carrier.NewTrust(c, namespace))
		if !way.Offered(ctx) {
			return nil, nil
		}
		return knock(ctx, way)
	}
}

// NewLine returns the function Env.Line for a cluster. It opens a line for a session that
// does not exist. Any answer of the traffic-manager shows that lines work.
func NewLine(cfg *rest.Config, c client.Reader, namespace string) (func(context.Context) (time.Duration, error), error) {
	proxy, err := carrier.NewLineProxy(carrier.Fixed(cfg), namespace)
	if err != nil {
		return nil, err
	}
	forward := carrier.NewLineForward(carrier.Fixed(cfg), c, namespace, nil)
	return func(ctx context.Context) (time.Duration, error) {
		conn, err := proxy.Dial(ctx)
		if err != nil && carrier.Elsewhere(err) {
			if forwarded, ferr := forward.Dial(ctx); ferr == nil {
				conn, err = forwarded, nil
			}
		}
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
		secret := handshake.NewSecret()
		start := time.Now()
		if err := handshake.WriteLineHello(conn, handshake.NewLineHello(&secret, "check", 0, handshake.Inbound)); err != nil {
			return 0, fmt.Errorf("offer a line: %w", err)
		}
		if _, err := handshake.ReadWelcome(conn); err != nil {
			return 0, fmt.Errorf("offer a line: %w", err)
		}
		return time.Since(start), nil
	}, nil
}

func knock(ctx context.Context, t carrier.Transport) (*Reached, error) {
	conn, err := t.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	start := time.Now()
	if err := handshake.WriteHello(conn, &handshake.Hello{Session: "check", Version: version.Version}); err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name(), err)
	}
	w, err := handshake.ReadWelcome(conn)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name(), err)
	}
	r := &Reached{Transport: t.Name(), Pod: w.Pod, Version: w.Version, RTT: time.Since(start)}
	if !strings.Contains(w.Refusal, "key is not valid") {
		r.Refusal = w.Refusal
	}
	return r, nil
}
