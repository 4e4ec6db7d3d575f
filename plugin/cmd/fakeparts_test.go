package cmd

import (
	"context"
	"io"
	"strings"

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
