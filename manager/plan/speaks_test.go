package plan

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// The appProtocol counts before the chart's strategy, and a Service's port says more than
// a container's.
func TestSpeaks(t *testing.T) {
	for _, x := range []struct {
		app, name string
		strategy  config.ProtocolStrategy
		want      rpc.Speaks
	}{
		{"mysql", "http", config.PortName, rpc.Speaks_SPEAKS_OTHER},
		{"grpc", "", config.HTTP2Probe, rpc.Speaks_SPEAKS_HTTP},
		{"https", "http", config.HTTP, rpc.Speaks_SPEAKS_HTTPS},
		{"", "http", config.HTTP2Probe, rpc.Speaks_SPEAKS_UNDECLARED},
		{"", "grpc-web", config.PortName, rpc.Speaks_SPEAKS_HTTP},
		{"", "https", config.PortName, rpc.Speaks_SPEAKS_HTTPS},
		{"", "mysql", config.PortName, rpc.Speaks_SPEAKS_UNDECLARED},
		{"", "web", config.HTTP, rpc.Speaks_SPEAKS_HTTP},
		{"", "web", config.HTTP2, rpc.Speaks_SPEAKS_HTTP},
	} {
		p := &Planner{Protocols: x.strategy}
		if got := p.speaks(v1alpha1.ResolvedPort{AppProtocol: x.app, ServicePortName: x.name}); got != x.want {
			t.Errorf("%+v: %v", x, got)
		}
	}
	var plan Plan
	plan.add(80, rpc.Protocol_TCP, rpc.Speaks_SPEAKS_UNDECLARED, false, &rpc.Route{InterceptUid: "a"})
	plan.add(80, rpc.Protocol_TCP, rpc.Speaks_SPEAKS_HTTP, false, &rpc.Route{InterceptUid: "b"})
	if got := plan.ports[0].Speaks; got != rpc.Speaks_SPEAKS_HTTP {
		t.Errorf("a port speaks %v", got)
	}
}
