package mux

import (
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Method names of the gRPC service on a carrier.
const (
	serviceName   = "kubectlintercept.tunnel.v1.Tunnel"
	flowMethod    = "/" + serviceName + "/Flow"
	controlMethod = "/" + serviceName + "/Control"
)

const (
	// carrierBuffer is the size of a carrier's write buffer. A carrier needs no read
	// buffer: gRPC reads from the record that TLS has decrypted.
	carrierBuffer = 128 << 10
	// streamWindow and connWindow are HTTP/2's own windows. They are larger than
	// what credit allows, so they never stop a flow. Where both are set, gRPC does
	// not probe the bandwidth.
	streamWindow = maxWindow + buffer.Max
	connWindow   = 1 << 30
	// maxFlows bounds the flows of one carrier.
	maxFlows = 1 << 14
	// maxMessage bounds a received message.
	maxMessage = buffer.Max + frame.MaxOpen
)

// rawCodec hands message buffers through unchanged.
type rawCodec struct{}

var _ encoding.CodecV2 = rawCodec{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(mem.BufferSlice)
	if !ok {
		return nil, fmt.Errorf("tunnel message is a %T", v)
	}
	return b, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*mem.BufferSlice)
	if !ok {
		return fmt.Errorf("tunnel message is a %T", v)
	}
	data.Ref()
	*b = data
	return nil
}

// When nothing has arrived on a carrier for the time of pingAfter, the opener sends a
// ping, and closes the carrier if no answer comes for the time of pingTimeout. Proxies
// and load balancers cut connections on which nothing moves, some after half a
// minute, and TCP's own keepalive does not reach through them.
const (
	pingAfter   = 15 * time.Second
	pingTimeout = 30 * time.Second
)

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessage),
			grpc.MaxRetryRPCBufferSize(0)),
		grpc.WithWriteBufferSize(carrierBuffer), grpc.WithReadBufferSize(0),
		grpc.WithStaticStreamWindowSize(streamWindow), grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout, PermitWithoutStream: true}),
		experimental.WithBufferPool(buffer.Pool()),
	}
}

func serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(maxMessage),
		grpc.WriteBufferSize(carrierBuffer), grpc.ReadBufferSize(0),
		grpc.StaticStreamWindowSize(streamWindow), grpc.StaticConnWindowSize(connWindow),
		grpc.MaxConcurrentStreams(maxFlows),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingAfter / 3, PermitWithoutStream: true}),
		experimental.BufferPool(buffer.Pool()),
	}
}
