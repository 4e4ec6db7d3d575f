package cmd

import (
	"context"
	"io"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/connect"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// LogLevel is set where a session runs.
func (f fakeSessions) LogLevel(context.Context, *kube.Factory, session.LogLevel) (string, error) {
	if !f.w.running {
		return "", nil
	}
	return "/tmp/session.log", nil
}

// Traffic is alice's, and bob's if everybody's is asked for.
func (f fakeSessions) Traffic(context.Context, *kube.Factory, func(string)) (*traffic.Report, error) {
	if f.w.lost != nil {
		return nil, f.w.lost
	}
	one := int64(1)
	r := &traffic.Report{Entries: []traffic.Entry{
		{User: "alice", Host: "birch", Session: "a", Direction: "outbound", Way: "line", Transport: "service-proxy", Flows: &one, Down: 3 << 20, DownRate: 2048, Up: 700},
		{User: "alice", Host: "birch", Session: "a", Intercept: "shop/quote", Direction: "inbound", Way: "line", Transport: "service-proxy", Lines: 2, Down: 1500, Up: 12 << 30, UpRate: 90 << 20},
	}}
	if f.w.user == "admin" {
		r.Everybody, r.Missing = true, []string{"traffic-manager-2: connection refused"}
		r.Entries = append(r.Entries, traffic.Entry{User: "bob", Session: "b", Intercept: "pay/till", Direction: "inbound", Way: "carrier", Transport: "port-forward", Flows: &one, Down: 9 << 30})
	}
	return r, nil
}

// Netd runs with the session.
func (f fakeSessions) Netd(context.Context) (string, error) {
	if !f.w.running {
		return "", nil
	}
	return "0.1.0", nil
}

// oneVariable is the environment of a container, of which PATH stays the laptop's.
func oneVariable(context.Context, string, string) (*process.Process, error) {
	return &process.Process{Environment: process.Environment{{Name: "COLOR", Value: "dark green"}, {Name: "PATH", Value: "/bin"}, {Name: "LINES", Value: "1\n2"}}}, nil
}

// Command needs no sign.
func (f fakeSessions) Command(*kube.Factory, string) (io.Closer, error) {
	return io.NopCloser(nil), nil
}

// OpenProxy opens nothing.
func (f fakeSessions) OpenProxy(ctx context.Context, factory *kube.Factory, transport, namespace, holder string, progress func(string)) (string, error) {
	n, err := f.Connect(ctx, factory, &connect.Access{Transport: transport, Proxy: "127.0.0.1:0", Device: state.Device{Namespace: namespace}, Holder: holder}, progress)
	if err != nil {
		return "", err
	}
	return n.Proxy, nil
}

// fakePod is the pod of an intercept.
func fakePod(via string) string {
	namespace, name, ok := strings.Cut(via, "/")
	if !ok {
		return ""
	}
	return namespace + "/" + name[:strings.Index(name, "-via-")] + "-1"
}
